"""The project's scripts on a real SLURM cluster of two machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.projects.command import TOOLS
from tests.projects.slurm_cluster import Slurm, wait_until, what_is_missing
from tests.scaffold.components import add

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing()),
]
ON_PAPER = {"gpus_per_node": "1", "cpus_per_task": "1"}
ON_CPU = ["--trainer.accelerator=cpu", "--trainer.limit_train_batches=9"]
SHORT = [*ON_CPU, "--trainer.max_epochs=2"]
# Long enough that a signal after the first epoch's line comes well before the last.
LONG = [*ON_CPU, "--trainer.max_epochs=100"]


@pytest.fixture
def slurm(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Slurm]:
    monkeypatch.setenv("PATH", str(TOOLS), prepend=":")
    cluster = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        yield cluster
    finally:
        cluster.stop()


def finish(slurm: Slurm, project: Path, job: str) -> str:
    """The output of a job that ends well."""
    ended = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
    wait_until(lambda: slurm.state(job) in ended, 300, "the end of the job")
    printed = (project / "job.out").read_text()
    assert slurm.state(job) == "COMPLETED", printed
    return printed


def test_the_projects_script_trains_on_two_machines(
    slurm: Slurm, project: Path
) -> None:
    job = slurm.submit(project, "launch/slurm.sbatch", *SHORT, **ON_PAPER)
    assert "Epoch 1/1" in finish(slurm, project, job)
    assert [run.name for run in project.glob("runs/*")] == ["version_0"]


def test_a_job_whose_time_is_up_is_run_again_and_goes_on_where_it_was(
    slurm: Slurm, growing: Path
) -> None:
    add("launcher", "slurm", nodes=2, gpus=1)

    def weights(run: str) -> dict[str, torch.Tensor]:
        file = growing / "runs" / run / "checkpoints" / "last.ckpt"
        state: dict[str, torch.Tensor] = torch.load(file, weights_only=True)[
            "state_dict"
        ]
        return state

    whole = slurm.submit(growing, "launch/slurm.sh", *LONG, **ON_PAPER)
    finish(slurm, growing, whole)
    (growing / "job.out").unlink()

    job = slurm.submit(growing, "launch/slurm.sh", *LONG, **ON_PAPER)
    output = growing / "job.out"

    def has_stepped() -> bool:
        return output.exists() and "Epoch 0/99" in output.read_text()

    wait_until(has_stepped, 120, "a first step")
    slurm.run("scancel", "--signal=USR1", job)  # as SLURM does before the time is up
    wait_until(lambda: slurm.state(job) == "PENDING", 120, "the job in the queue again")
    assert "the run goes on from runs/version_1" in output.read_text()
    slurm.run("scontrol", "update", f"JobId={job}", "StartTime=now")
    printed = finish(slurm, growing, job)
    assert "ckpt_path='last' is runs/version_1/checkpoints/last.ckpt" in printed
    ended, went_on = weights("version_0"), weights("version_2")
    assert all(torch.equal(ended[name], went_on[name]) for name in ended)
