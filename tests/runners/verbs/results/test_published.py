"""The project's own study: its published records obey their protocols, and a run made again is the published run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from analysis.loading.records import load_study
from protocol.record.chain import essence, read
from protocol.record.layout import StudyFolder
from protocol.rules import check_study
from protocol.seal.archive import unpack
from protocol.spec.run_id import RunId
from runners.machine.environment import describe
from runners.progress.plan import planned_runs
from runners.progress.status import adopt, jobs
from runners.run.perform import perform

RECORDS = Path(__file__).resolve().parents[4] / "notebooks" / "studies" / "records"
ARCHIVES = sorted(RECORDS.glob("*.tar.xz"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_records_are_published_and_small() -> None:
    assert ARCHIVES
    assert sum(path.stat().st_size for path in ARCHIVES) < 15e6


@pytest.mark.slow
@pytest.mark.parametrize("path", ARCHIVES, ids=lambda p: p.name)
def test_every_published_study_is_whole_and_obeys_its_protocols(path: Path, tmp_path: Path) -> None:
    folder = unpack(path, tmp_path / "study").path
    curves = load_study(folder)
    assert curves.complete == len(curves.planned)
    assert not curves.exploratory
    assert check_study(folder).exit_code == 0  # Fashion-MNIST's near-duplicates are a warning


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["fashion-plain/random/seed-0", "fashion-plain/badge/seed-3"])
def test_a_named_cell_made_again_is_the_published_one(
    cell: str, tmp_path: Path, data_root: Path, one_thread: None
) -> None:
    if not (data_root / "fashion_mnist").is_dir():
        pytest.skip("no fashion_mnist/ under the data root")
    published = unpack(RECORDS / "supervised.tar.xz", tmp_path / "published")
    protocol, strategy, seed = cell.split("/")
    number = int(seed.removeprefix("seed-"))
    before = read(published.run(RunId(protocol, strategy, number)).events)
    assert before.run is not None
    then, now = before.run.environment, describe("cpu", 1)
    differ = [name for name in ("torch", "numpy", "scikit-learn") if then["packages"][name] != now["packages"][name]]
    now["device_name"] = now["device_name"].partition(" (")[0]  # without instructions, which records did not hold yet
    differ += [key for key in ("device_name", "platform") if then[key] != now[key]]
    if differ:
        pytest.skip(f"made with other {', '.join(differ)}: equal bytes are promised for equal ones")
    study, again = published.read_plan(), StudyFolder(tmp_path / "again")
    adopt(again, study, tmp_path)
    run = next(
        r for r in planned_runs(study) if (r.protocol.name, r.strategy.id, r.seed) == (protocol, strategy, number)
    )
    (job,) = jobs(again, study, data_root, "cpu", 1, [run], tables=False)
    assert perform(job).state == "done"
    assert essence(read(again.run(RunId(protocol, strategy, number)).events)) == essence(before)
