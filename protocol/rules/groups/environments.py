"""ENV: compared curves come from the same code, versions and kind of device.

Differences only cause warnings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from protocol.rules.evidence import RunEvidence
from protocol.rules.facts import Environment, Facts, StudyEvidence, environments_of
from protocol.rules.rule import AnyRule, Observations, broken, differences, run_rule, study_rule, unverifiable

_DEVICE = ("device", "device_name", "platform", "threads")


@run_rule(
    "ENV-01",
    "the code that ran is committed",
    severity="warning",
    why="uncommitted changes cannot be looked up later",
    evidence="commit and dirty flag in 'run' and 'resume' events",
    fix="commit first, then run the study in a new folder",
    reads={"environment"},
)
def uncommitted_code(run: RunEvidence) -> Observations:
    for where, values in environments_of(run):
        environment = dict(values)
        if "dirty" not in environment:
            yield unverifiable(where, "whether the code had uncommitted changes", "nothing recorded")
        elif environment["dirty"] != "False":
            commit = environment.get("commit", "an unknown commit")[:16]
            yield broken(where, "a clean checkout", f"uncommitted changes on {commit}")


@study_rule(
    "ENV-02",
    "one set of versions within a comparison",
    severity="warning",
    why="another version of a library is a different recipe, if only slightly",
    evidence="Python, packages and commit in 'run' and 'resume' events",
    fix="run the differing runs again with the versions of most runs",
    reads={"environment", "peers"},
)
def unequal_versions(study: StudyEvidence) -> Observations:
    yield from _differing(study.facts, _versions, "versions of Python, packages and code")


def _versions(environment: Environment) -> Environment:
    return tuple((k, v) for k, v in environment if k in ("python", "commit") or k.startswith("packages."))


@study_rule(
    "ENV-03",
    "one kind of device within a comparison",
    severity="warning",
    why="arithmetic differs between kinds of device and numbers of threads, so curves of one seed differ by more than "
    "the "
    "strategy",
    evidence="device, platform and threads in 'run' and 'resume' events",
    fix="run the differing runs again on the device of most runs",
    reads={"environment", "peers"},
)
def unequal_devices(study: StudyEvidence) -> Observations:
    yield from _differing(study.facts, _device, "device, platform and threads")


def _device(environment: Environment) -> Environment:
    return tuple((k, v.split(":")[0] if k == "device" else v) for k, v in environment if k in _DEVICE)


def _differing(facts: tuple[Facts, ...], part: Callable[[Environment], Environment], what: str) -> Observations:
    """Yield environments whose `part` differs from that of most runs of their protocol."""
    groups: dict[str, list[tuple[Facts, str, Environment]]] = {}
    for fact in facts:
        for where, environment in fact.environments:
            if values := part(environment):
                groups.setdefault(fact.key.protocol, []).append((fact, where, values))
            else:
                yield unverifiable(where, what, "nothing recorded", fact.key)
    for protocol, members in groups.items():
        usual = Counter(values for _, _, values in members).most_common(1)[0][0]
        for fact, where, values in members:
            if values != usual:
                expected, found = differences(dict(usual), dict(values))
                yield broken(where, f"the {what} of most runs of {protocol}: {expected}", found, fact.key)


RULES: tuple[AnyRule, ...] = (uncommitted_code, unequal_versions, unequal_devices)
