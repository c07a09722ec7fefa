"""A project on several processes: its launch scripts, and the same result as one."""

from __future__ import annotations

import csv
import re
import subprocess
from pathlib import Path

import pytest

from tests.projects.command import TOOLS, metric, run
from tests.projects.conftest import Make

# No random draws in training: every number of processes takes the same steps.
EXACT = [
    "--model.dropout",
    "0",
    "--data.degrees",
    "0",
    "--data.shift",
    "0",
    "--data.zoom",
    "0",
]
DEBUG = ["--config", "configs/debug.yaml", *EXACT]


def losses(project: Path) -> list[float]:
    """The validation losses of a project's only run."""
    with (project / "runs" / "version_0" / "metrics.csv").open() as table:
        return [
            float(row["val_loss"]) for row in csv.DictReader(table) if row["val_loss"]
        ]


@pytest.fixture(scope="module")
def single(make: Make) -> list[float]:
    """The losses of one process."""
    project = make({})
    run(project, "python", "train.py", "fit", *DEBUG)
    return losses(project)


@pytest.mark.parametrize("script", ["ddp.sh", "fsdp.sh"])
def test_two_processes_get_the_losses_of_one(
    script: str, project: Path, single: list[float]
) -> None:
    run(project, "bash", f"launch/{script}", "2", *DEBUG)
    assert losses(project) == pytest.approx(single, rel=1e-5)
    run(project, "python", "train.py", "test", "--ckpt_path", "best", *DEBUG)


def test_processes_can_be_asked_for_without_a_launcher(
    project: Path, single: list[float]
) -> None:
    run(project, "python", "train.py", "fit", *DEBUG, "--trainer.devices", "2")
    assert losses(project) == pytest.approx(single, rel=1e-5)


def test_a_launch_script_asks_for_the_number_of_processes(project: Path) -> None:
    assert "how many processes" in run(project, "bash", "launch/ddp.sh", code=1)


def test_the_launch_scripts_are_one_line_apart(project: Path) -> None:
    ddp, fsdp = (
        (project / "launch" / name).read_text() for name in ("ddp.sh", "fsdp.sh")
    )
    commands = [
        [line for line in text.splitlines() if not line.startswith("#")]
        for text in (ddp, fsdp)
    ]
    different = [pair for pair in zip(*commands, strict=True) if pair[0] != pair[1]]
    assert len(different) <= 2  # The config, and the example in the error.


def test_the_slurm_script_trains_where_slurm_is_played_by_stand_ins(
    project: Path, tmp_path: Path
) -> None:
    for name, line in {
        "srun": 'exec "$@"',
        "scontrol": "echo localhost",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    script = project / "launch" / "slurm.sbatch"
    subprocess.run(["bash", "-n", script], check=True)
    words = ["bash", "launch/slurm.sbatch", *DEBUG]
    run(
        project,
        *words,
        PATH=f"{tmp_path}:{TOOLS}:/usr/bin:/bin",
        SLURM_SUBMIT_DIR=str(project),
        SLURM_JOB_ID="1",
        SLURM_JOB_NODELIST="localhost",
        SLURM_NNODES="1",
        SLURM_GPUS_ON_NODE="2",
    )
    assert len(losses(project)) == 2
    directives = re.findall(r"^#SBATCH --([\w-]+)=\S+$", script.read_text(), re.M)
    assert {"nodes", "ntasks-per-node", "time"} <= set(directives)


def test_four_processes_report_what_one_does(trained: Path) -> None:
    """450 images: two processes have one more than the others."""
    test = ["train.py", "test", "--ckpt_path", "best"]
    launch = ["torchrun", "--standalone", "--nproc-per-node", "4"]
    one = run(trained, "python", *test)
    four = run(trained, *launch, *test, "--config", "configs/ddp.yaml")
    assert table(four) == table(one)
    assert len(table(one)) == 11


def table(report: str) -> list[str]:
    """The lines of the table of classes in what a test prints."""
    return re.findall(r"^(?:class|\d) .*$", report, re.M)


@pytest.mark.full
def test_two_processes_reach_the_accuracy_of_one(project: Path) -> None:
    run(project, "bash", "launch/ddp.sh", "2")
    report = run(project, "python", "train.py", "test", "--ckpt_path", "best")
    assert metric(report, "test_acc") >= 0.985
