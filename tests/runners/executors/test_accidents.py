"""One suite for all executors: after any accident the same jobs finish.

No label is bought twice, and records equal undisturbed ones.

Drivers that are killed, asked to stop, started twice or whose clock jumps: test_drivers.py and tests/chaos/.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocol.record.events import FailureEvent, ResumeEvent
from protocol.spec.study import Study
from runners.executors.base import Limits, Update
from runners.executors.ray import use_driver_environment
from tests.support.conformance import (
    ACCIDENTS,
    ALL,
    DYING,
    EXECUTORS,
    QUIETLY,
    RAISING,
    end_ray,
    ended,
    finishes_undisturbed,
    jobs_in,
    record_of,
    start_ray_once,
    with_mine,
)

NOT_HERE = {
    **{("inline", name): "takes the driver with it: test_drivers.py" for name in DYING},
    ("inline", "hangs"): "a process cannot end what hangs inside it: --executor inline takes no --timeout",
    ("inline", "leaks"): "a process cannot end what leaks inside it: --executor inline takes no --memory",
}
"""Accidents that make no sense for an executor, with the reason."""
LIMITS = {"hangs": Limits(run_seconds=8.0, retries=0), "leaks": Limits(memory_mib=2500.0, retries=0)}


@pytest.fixture(scope="module", autouse=True)
def one_ray() -> Iterator[None]:
    """Whatever starts Ray here, it ends with the module."""
    yield
    end_ray()


@pytest.mark.parametrize("accident", ACCIDENTS)
@pytest.mark.parametrize("name", ALL)
def test_after_an_accident_of_the_strategy(name: str, accident: str, toy_study: Study, tmp_path: Path) -> None:
    if reason := NOT_HERE.get((name, accident)):
        pytest.skip(reason)
    start_ray_once(name)
    study = with_mine(toy_study, tmp_path)
    work = jobs_in(tmp_path / "a" / "s", study)
    (tmp_path / "a" / "accident").write_text(ACCIDENTS[accident])
    mine, other = ended(EXECUTORS[name](LIMITS.get(accident, Limits(retries=0)), tmp_path / "desk"), work)
    assert (mine.state, other.state) == ("failed", "done"), mine.message
    assert mine.cause == ("machine" if accident in ("killed", "terminated") else "own"), mine.message
    assert len(record_of(work[0]).of(FailureEvent)) == 1
    finishes_undisturbed(EXECUTORS[name](Limits(), tmp_path / "desk"), work, study, tmp_path / "b")


@pytest.mark.slow
@QUIETLY
@pytest.mark.parametrize("name", ["ray", "slurm"])
def test_after_the_schedulers_own_process_was_killed_under_a_run(name: str, toy_study: Study, tmp_path: Path) -> None:
    """Inline and local have no process between driver and run."""
    start_ray_once(name)
    study = with_mine(toy_study, tmp_path)
    work = jobs_in(tmp_path / "a" / "s", study)
    (tmp_path / "a" / "accident").write_text(
        "psutil.Process().parent().parent().kill(); time.sleep(60)"
    )  # past the fork server
    results = ended(EXECUTORS[name](Limits(retries=1), tmp_path / "desk"), work)
    assert [r.state for r in results] == ["done", "done"], results
    assert len(record_of(work[0]).of(ResumeEvent)) == 1
    finishes_undisturbed(EXECUTORS[name](Limits(), tmp_path / "desk"), work, study, tmp_path / "b")


@pytest.mark.slow
@QUIETLY
def test_after_nodes_were_removed(toy_study: Study, tmp_path: Path) -> None:
    """Only Ray has nodes here; those of SLURM: tests/cluster/."""
    use_driver_environment()
    ray = pytest.importorskip("ray", reason="the extra ray is not installed: uv sync --extra ray")
    from ray.cluster_utils import Cluster

    from runners.executors.ray import RayBackend
    from runners.executors.remote import Remote

    ray.shutdown()
    study = with_mine(toy_study, tmp_path)
    work = jobs_in(tmp_path / "a" / "s", study)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    doomed = [cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)]
    cluster.wait_for_nodes()
    states = []
    try:
        for message in Remote(RayBackend(1, None, cluster.address)).execute(work):
            if isinstance(message, Update):
                if doomed:
                    cluster.remove_node(doomed.pop(), allow_graceful=False)
            else:
                states.append(message.state)
        assert not doomed
        assert states == ["done", "done"]
        finishes_undisturbed(EXECUTORS["inline"](Limits(), tmp_path), work, study, tmp_path / "b")
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system of its own at tmp_path/disk; call it with mount options to make or change it."""
    disk, mounted = tmp_path / "disk", False
    disk.mkdir()
    mount = shutil.which("mount")

    def mounts(options: str) -> Path:
        nonlocal mounted
        words = [mount or "mount", "-t", "tmpfs", "-o", ("remount," if mounted else "") + options, "tmpfs", str(disk)]
        if mount is None or subprocess.run(words, capture_output=True, check=False).returncode:
            pytest.skip("mounting a small tmpfs is not permitted here")
        mounted = True
        return disk

    yield mounts
    if mounted:
        subprocess.run(["umount", "-l", str(disk)], check=True)  # a scheduler's process may have its log open still


@pytest.mark.parametrize("fault", ["full", "read-only"])
@pytest.mark.parametrize("name", ALL)
def test_after_a_disk_that_took_nothing_more(
    name: str, fault: str, small_disk: Callable[[str], Path], toy_study: Study, tmp_path: Path
) -> None:
    start_ray_once(name)
    study = with_mine(toy_study, tmp_path)
    disk = small_disk("size=256k")
    work = jobs_in(disk / "s", study)
    if fault == "full":
        with pytest.raises(OSError, match="No space left"):
            (disk / "filler").write_bytes(bytes(2**20))
    else:
        small_disk("ro,size=256k")
    desk = (
        disk / "s" / ".desk" / "submitit" if fault == "full" else tmp_path / "desk"
    )  # made before the first run is handed over
    results = ended(EXECUTORS[name](Limits(), desk), work)
    assert [(r.state, r.cause) for r in results] == [("failed", "disk")] * 2, results
    assert all("found:" in r.message for r in results)
    small_disk("rw,size=64m")
    finishes_undisturbed(EXECUTORS[name](Limits(), desk), work, study, tmp_path / "b")


@pytest.mark.parametrize("accident", RAISING)
def test_the_accidents_of_this_suite_are_what_they_say(accident: str, toy_study: Study, tmp_path: Path) -> None:
    """Each is another fault: otherwise the suite would show less than it lists."""
    study = with_mine(toy_study, tmp_path)
    work = jobs_in(tmp_path / "a" / "s", study)
    (tmp_path / "a" / "accident").write_text(ACCIDENTS[accident])
    said = ended(EXECUTORS["inline"](Limits(), tmp_path), work[:1])[0].message
    assert {"raises": "no idea", "nan": "not finite", "wrong": "labelled already"}[accident] in said, said
