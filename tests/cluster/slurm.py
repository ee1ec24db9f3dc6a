"""Start SLURM with two nodes on this machine, run a study, requeue its jobs once, and compare with an undisturbed run.

    uv run --extra slurm python tests/cluster/slurm.py [--seeds 1]

The study is that of
`quickstart --fast`, its first seeds, four runs each; all seven seeds take ten minutes on two cores.

Needs root and Debian's packages slurmctld, slurmd, slurm-client and munge; says what is missing and exits with 77
otherwise. All its files, sockets and processes are its own: a SLURM that is installed here is neither used nor changed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from protocol.record.chain import essence, purchases, read
from protocol.record.events import ResumeEvent
from protocol.record.layout import StudyFolder
from runners.progress.plan import planned_runs
from runners.progress.status import adopt
from runners.study import quickstart_study

SKIPPED = 77
COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "sinfo")
CONF = """
ClusterName=beatrandom
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
AuthType=auth/munge
AuthInfo=socket={here}/munge.socket
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={here}/state
SlurmdSpoolDir={here}/spool-%n
SlurmctldPidFile={here}/slurmctld.pid
SlurmdPidFile={here}/slurmd-%n.pid
SlurmctldLogFile={here}/slurmctld.log
SlurmdLogFile={here}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=1,sched_interval=2
KillWait=5
JobRequeue=1
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={n1} CPUs=1 RealMemory=4000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={n2} CPUs=1 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""
CONFIG = """
executor = "slurm"
[slurm]
parameters = { slurm_partition = "main", timeout_min = 30, mem_gb = 1 }
"""


def missing() -> str:
    """Return what this machine lacks, or an empty text."""
    if os.geteuid() != 0:
        return "root, who may start daemons for jobs"
    lacking = [name for name in COMMANDS if shutil.which(name) is None]
    return f"{', '.join(lacking)} (apt-get install slurmctld slurmd slurm-client munge)" if lacking else ""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextlib.contextmanager
def cluster(here: Path) -> Iterator[dict[str, str]]:
    """Start two nodes, and yield the environment in which they are found."""
    (here / "state").mkdir()
    key, conf = here / "munge.key", here / "slurm.conf"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    host = socket.gethostname().split(".")[0]
    controller, n1, n2 = free_ports(3)
    conf.write_text(CONF.format(here=here, host=host, controller=controller, n1=n1, n2=n2))
    environment = os.environ | {"SLURM_CONF": str(conf)}
    daemons = [
        ["munged", "-F", "--force", f"--key-file={key}", f"--socket={here}/munge.socket",
         f"--pid-file={here}/munged.pid", f"--log-file={here}/munged.log", f"--seed-file={here}/munged.seed"],
        ["slurmctld", "-D", "-f", str(conf)],
        ["slurmd", "-D", "-N", "n1", "-f", str(conf)],
        ["slurmd", "-D", "-N", "n2", "-f", str(conf)],
    ]  # fmt: skip
    running: list[subprocess.Popen[bytes]] = []
    try:
        for words in daemons:
            with (here / f"{words[0]}.out").open("ab") as out:
                running.append(subprocess.Popen(words, env=environment, stdout=out, stderr=out, start_new_session=True))
            time.sleep(1)
        until = time.monotonic() + 60
        while said("sinfo", "-h", "-N", "-o", "%T", env=environment).split() != ["idle", "idle"]:
            if time.monotonic() > until:
                raise SystemExit(
                    "\n".join(
                        f"--- {log.name}\n{log.read_text()[-2000:]}"
                        for log in [*here.glob("*.log"), *here.glob("*.out")]
                    )
                )
            time.sleep(0.5)
        yield environment
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()


def said(*words: str, env: dict[str, str]) -> str:
    return subprocess.run(words, env=env, capture_output=True, text=True, check=False).stdout


def beatrandom(*words: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "from runners.cli import main; main()", *words], env=env)


def requeue(driver: subprocess.Popen[bytes], out: Path, env: dict[str, str]) -> list[str]:
    """Requeue the running jobs once a run has finished its first round, as preemption does."""
    while driver.poll() is None:
        if [*out.glob("records/*/*/*/predictions/round-000.npz")]:
            jobs = said("squeue", "-h", "--array", "-t", "RUNNING", "-o", "%i", env=env).split()
            back = [
                job
                for job in jobs
                if subprocess.run(["scontrol", "requeue", job], env=env, check=False).returncode == 0
            ]
            if back:
                return back
        time.sleep(0.05)
    raise SystemExit("the study ended before a job could be put back into the queue")


def main() -> None:
    if lacking := missing():
        print(f"skipped: SLURM cannot be started here; missing: {lacking}")
        sys.exit(SKIPPED)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the daemons end with this process
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    seeds, began = parser.parse_args().seeds, time.monotonic()
    runs = [run for run in planned_runs(quickstart_study(fast=True)) if run.seed < seeds]
    with tempfile.TemporaryDirectory(prefix="beatrandom-slurm-") as scratch:
        here = Path(scratch)
        (here / "config.toml").write_text(CONFIG)
        for name in ("slurm", "alone"):
            adopt(StudyFolder(here / name), quickstart_study(fast=True), here)
        with cluster(here) as env:
            print(f"two nodes are idle after {time.monotonic() - began:.0f} s", flush=True)
            env = env | {"BEATRANDOM_CONFIG": str(here / "config.toml")}
            driver = beatrandom("run", str(here / "slurm"), "--only", f"seed<{seeds}", env=env)
            try:
                print(f"put back into the queue: {', '.join(requeue(driver, here / 'slurm', env))}", flush=True)
                code = driver.wait()
            finally:
                if driver.poll() is None:
                    driver.send_signal(signal.SIGKILL)
                subprocess.run(["scancel", "--me", "--signal=KILL", "--full"], env=env, check=False)
            if code:
                raise SystemExit(f"the study ended with {code}")
        alone = beatrandom(
            "run", str(here / "alone"), "--only", f"seed<{seeds}", env=os.environ | {"BEATRANDOM_CONFIG": os.devnull}
        )
        if alone.wait():
            raise SystemExit("the undisturbed study failed")
        different = 0
        for run in runs:
            disturbed, other = (read(StudyFolder(here / name).run(run.id).events) for name in ("slurm", "alone"))
            bought = [i for purchase in purchases(disturbed) for i in purchase.indices]
            whole = (
                disturbed.sealed
                and not disturbed.breaks
                and len(bought) == len(set(bought)) == run.protocol.budgets[-1]
            )
            if not whole or essence(disturbed) != essence(other):
                print(f"{run.id}: not what the undisturbed run is")
                different += 1
        resumed = sum(len(read(path).of(ResumeEvent)) for path in (here / "slurm" / "records").rglob("events.jsonl"))
        print(f"{len(runs)} runs, {resumed} resumed, {different} differ, {time.monotonic() - began:.0f} s")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
