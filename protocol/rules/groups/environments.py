"""ENV: curves that are compared were made by the same code, versions and kind of device. Warnings: none of this is forbidden."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from protocol.rules.evidence import Environment, Facts, RunEvidence, StudyEvidence, environments_of
from protocol.rules.rule import AnyRule, Observation, Observations, RunRule, StudyRule, unverifiable

_DEVICE = ("device", "device_name", "platform", "threads")


def _code_is_committed(run: RunEvidence) -> Observations:
    for where, environment in environments_of(run):
        told = dict(environment)
        if "dirty" not in told:
            yield unverifiable(where, "whether the code had uncommitted changes", "nothing recorded", str(run.key))
        elif told["dirty"] != "False":
            yield Observation(
                where,
                "a clean checkout",
                f"uncommitted changes on {told.get('commit', 'an unknown commit')[:16]}",
                str(run.key),
            )


def _versions(environment: Environment) -> Environment:
    return tuple((k, v) for k, v in environment if k in ("python", "commit") or k.startswith("packages."))


def _device(environment: Environment) -> Environment:
    return tuple((k, v.split(":")[0] if k == "device" else v) for k, v in environment if k in _DEVICE)


def _versions_are_equal(study: StudyEvidence) -> Observations:
    yield from _alike(study.facts, _versions, "versions of Python, packages and code")


def _devices_are_equal(study: StudyEvidence) -> Observations:
    yield from _alike(study.facts, _device, "device, platform and threads")


def _alike(facts: tuple[Facts, ...], part: Callable[[Environment], Environment], what: str) -> Observations:
    """Environments of a protocol's runs whose `part` differs from that of most of them."""
    groups: dict[str, list[tuple[Facts, str, Environment]]] = {}
    for fact in facts:
        for where, environment in fact.environments:
            if told := part(environment):
                groups.setdefault(fact.key.protocol, []).append((fact, where, told))
            else:
                yield unverifiable(where, what, "nothing recorded", str(fact.key))
    for protocol, members in groups.items():
        usual = Counter(told for _, _, told in members).most_common(1)[0][0]
        for fact, where, told in members:
            if told != usual:
                own, others = dict(told), dict(usual)
                differ = [k for k in sorted(own.keys() | others.keys()) if own.get(k) != others.get(k)][:5]
                expected = f"the {what} of the other runs of {protocol}: " + ", ".join(
                    f"{k} {others.get(k, 'untold')}" for k in differ
                )
                yield Observation(
                    where, expected, ", ".join(f"{k} {own.get(k, 'untold')}" for k in differ), str(fact.key)
                )


RULES: tuple[AnyRule, ...] = (
    RunRule(
        id="ENV-01",
        title="the code that ran is committed",
        severity="warning",
        why="uncommitted changes cannot be looked up later",
        evidence="commit and dirty flag in 'run' and 'resume' events",
        fix="commit first, then run the study in a new folder",
        reads=frozenset({"environment"}),
        function=_code_is_committed,
    ),
    StudyRule(
        id="ENV-02",
        title="one set of versions within a comparison",
        severity="warning",
        why="another version of a library is another recipe, if a slightly different one",
        evidence="Python, packages and commit in 'run' and 'resume' events",
        fix="run what differs again with the versions of the others",
        reads=frozenset({"environment", "peers"}),
        function=_versions_are_equal,
    ),
    StudyRule(
        id="ENV-03",
        title="one kind of device within a comparison",
        severity="warning",
        why="arithmetic differs between kinds of device and numbers of threads, so curves of one seed differ by more than the strategy",
        evidence="device, platform and threads in 'run' and 'resume' events",
        fix="run what differs again on the device of the others",
        reads=frozenset({"environment", "peers"}),
        function=_devices_are_equal,
    ),
)
