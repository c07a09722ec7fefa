"""A SLURM cluster of two machines, with its own daemons, for as long as a test needs it.

Both machines are this one: two `slurmd` on ports of their own, each with one GPU on paper.
They see a hosts file in which both names are this machine, in a mount namespace that their
jobs inherit.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
MACHINES = ("scaffold-a", "scaffold-b")
CONFIG = """\
ClusterName=scaffold
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
ReturnToService=2
KillWait=60
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
GresTypes=gpu
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
MACHINE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=16 Gres=gpu:1\n"


def what_is_missing() -> str:
    """Why no cluster can be started here; empty if one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a SLURM cluster of one's own needs Linux and root"
    missing = [daemon for daemon in DAEMONS if shutil.which(daemon) is None]
    if missing:
        return f"{', '.join(missing)}: not here (Debian's package is slurm-wlm)"
    return ""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.5)


class Slurm:
    """The cluster; `stop` ends its daemons and with them every job."""

    def __init__(self, folder: Path) -> None:
        self.folder, host = folder, socket.gethostname()
        (folder / "state").mkdir()
        (folder / "munge.key").write_bytes(secrets.token_bytes(1024))
        (folder / "munge.key").chmod(0o400)
        (folder / "hosts").write_text(
            f"127.0.0.1 localhost {host} {' '.join(MACHINES)}\n"
        )
        nodes = "".join(
            MACHINE.format(name=name, host=host, port=free_port()) for name in MACHINES
        )
        config = CONFIG.format(folder=folder, host=host, port=free_port())
        (folder / "slurm.conf").write_text(config + nodes)
        (folder / "gres.conf").write_text(
            "".join(f"NodeName={name} Name=gpu File=/dev/null\n" for name in MACHINES)
        )
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self._start()

    def _start(self) -> None:
        munge = self.folder / "munge"
        self.run(
            *("munged", "--force", f"--key-file={munge}.key"),
            *(f"--socket={munge}.socket", f"--pid-file={munge}.pid"),
            *(f"--seed-file={munge}.seed", f"--log-file={munge}.log"),
        )
        self.run("slurmctld")
        nodes = " && ".join(f"slurmd -N {name}" for name in MACHINES)
        hosts = f"mount --bind {self.folder}/hosts /etc/hosts"
        self.run("unshare", "--mount", "sh", "-c", f"{hosts} && {nodes}")
        wait_until(self._both_are_idle, 60, "two idle machines")

    def _both_are_idle(self) -> bool:
        return self.run("sinfo", "-h", "-t", "idle", "-o", "%D").strip() == "2"

    def run(self, *words: str, cwd: Path | None = None) -> str:
        """What a command of the cluster's prints."""
        done = subprocess.run(
            words,
            cwd=cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}"
        return done.stdout

    def submit(self, project: Path, script: str, *words: str, **options: str) -> str:
        """Hand in a script of the project's; the job's number."""
        chosen = [
            f"--{key.replace('_', '-')}={value}" for key, value in options.items()
        ]
        command = ["sbatch", "--parsable", "--output=job.out", *chosen, script, *words]
        return self.run(*command, cwd=project).strip()

    def state(self, job: str) -> str:
        """PENDING, RUNNING, COMPLETED, ..."""
        shown = self.run("scontrol", "show", "job", job)
        return shown.split("JobState=")[1].split()[0]

    def stop(self) -> None:
        for file in sorted(self.folder.glob("*.pid"), reverse=True):
            try:
                os.kill(int(file.read_text()), signal.SIGTERM)
            except (ProcessLookupError, ValueError):
                continue
