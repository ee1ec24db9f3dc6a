"""Reading, checking and comparing without torch; what trains says in one line what is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.study_builder import build_study

REPOSITORY = Path(__file__).parents[3]
BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('torch', 'torchvision'):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
from runners.cli import main
main()
"""
CURVES = "dataset,regime,strategy,seed,budget,metric,value\n" + "".join(
    f"d,r,{name},{seed},{budget},accuracy,{0.4 + budget / 100 + gain + seed / 1000}\n"
    for name, gain in (("random", 0.0), ("margin", 0.02))
    for seed in range(6)
    for budget in (10, 20)
)
READS = (
    "check study",
    "compare study",
    "compare curves.csv --json",
    "figures curves.csv --out figures",
    "report study",
    "status study",
    "export study --format csv",
    "card study",
    "seal study",
    "verify study",
    "pack study",
    "protocols",
    "datasets",
    "regimes",
    "gc study",
    "--help",
)
TRAINS = ("run study.toml", "plan study.toml", "quickstart", "replay study", "strategies")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("light")
    build_study(path / "study")
    (path / "curves.csv").write_text(CURVES)
    (path / "study.toml").write_text('name = "s"\nprotocols = ["digits-linear"]\nstrategies = ["random"]\nseeds = 1\n')
    return path


def call(words: str, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, *words.split()], cwd=folder, capture_output=True, text=True, timeout=200)


@pytest.mark.parametrize("words", READS)
def test_what_reads_does_without_torch(words: str, folder: Path) -> None:
    done = call(words, folder, sys.executable, "-c", BLOCKED)
    assert done.returncode in (0, 1), done.stderr  # 1: the study's records name a made-up commit
    assert "Traceback" not in done.stderr
    assert "torch" not in done.stderr


@pytest.mark.parametrize("words", TRAINS)
def test_what_trains_says_what_is_missing_in_one_line(words: str, folder: Path) -> None:
    done = call(words, folder, sys.executable, "-c", BLOCKED)
    assert done.returncode == 2
    assert done.stderr.startswith(f"beatrandom: {words.split()[0]} needs torch, which is not installed here: ")
    assert done.stderr.count("\n") == 1
    assert "uv sync" in done.stderr


@pytest.mark.slow
def test_a_new_environment_without_torch_reads_and_compares(folder: Path, tmp_path: Path) -> None:
    """Needs uv and a package index; a minute."""
    clone = tmp_path / "clone"
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, clone / name)
    light = ("uv", "run", "--no-default-groups", "--project", str(clone), "beatrandom")
    for words in READS:
        done = call(words, folder, *light)
        assert done.returncode in (0, 1), done.stderr
    packages = next(clone.glob(".venv/lib/python*/site-packages"))
    assert not (packages / "torch").exists()
    assert sum(file.stat().st_size for file in packages.rglob("*") if file.is_file()) < 500e6
    assert "needs torch" in call("run study.toml", folder, *light).stderr
