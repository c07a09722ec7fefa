"""`scaffold add launcher`: what it writes starts real runs."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.projects.command import TOOLS, run
from tests.scaffold.components import add

DEBUG = ["--config", "configs/debug.yaml"]


def checkpoints(project: Path) -> list[str]:
    """The last checkpoint of each run."""
    return sorted(p.parts[-3] for p in project.glob("runs/*/checkpoints/last.ckpt"))


def test_torchrun_meets_at_the_named_machine(growing: Path) -> None:
    add("launcher", "machines", port=29611)
    words = ["bash", "launch/machines.sh", "1", "localhost", "2", *DEBUG]
    run(growing, *words)
    assert checkpoints(growing) == ["version_0"]
    readme = (growing / "README.md").read_text()
    scale = readme.split("## Scale")[1]
    assert re.search(r"^bash launch/machines\.sh 2 HOST 4 ", scale, re.M)


def test_torchrun_asks_for_what_it_needs(growing: Path) -> None:
    add("launcher", "torchrun")
    printed = run(growing, "bash", "launch/torchrun.sh", "2", code=1)
    assert "the name of the first machine?" in printed


def test_slurm_goes_on_after_a_job_was_preempted(growing: Path, tmp_path: Path) -> None:
    add("launcher", "slurm", nodes=8, gpus=2)
    for name, line in {"srun": 'exec "$@"', "scontrol": "echo localhost"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)

    def restarted(*words: str) -> str:
        return run(
            growing,
            *("bash", "launch/slurm.sh", *DEBUG, *words),
            PATH=f"{tmp_path}:{TOOLS}:/usr/bin:/bin",
            SLURM_SUBMIT_DIR=str(growing),
            SLURM_JOB_ID="1",
            SLURM_JOB_NODELIST="localhost",
            SLURM_NNODES="1",
            SLURM_RESTART_COUNT="1",
        )

    # Preempted before the first checkpoint: there is nothing to go on from.
    assert "last.ckpt" not in restarted()
    assert "last.ckpt" in restarted("--trainer.max_epochs", "3")
    script = (growing / "launch" / "slurm.sh").read_text()
    directives = dict(re.findall(r"^#SBATCH --([\w-]+)=?(\S*)$", script, re.M))
    assert (directives["nodes"], directives["cpus-per-task"]) == ("8", "8")
    assert "requeue" in directives


def test_kubernetes_starts_one_process_for_each_gpu(growing: Path) -> None:
    add("launcher", "kubernetes", nodes=3, gpus=2)
    text = (growing / "launch" / "kubernetes.yaml").read_text()
    service, job = yaml.safe_load_all(text)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 2}
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (3, 3)
    # The first pod of an indexed job is <job>-0; the service is its domain.
    name = service["metadata"]["name"]
    command = container["command"]
    assert f"--rdzv-endpoint={job['metadata']['name']}-0.{name}:29500" in command
    assert pod["subdomain"] == name
    here = {
        "--nnodes=3": "--nnodes=1",
        "--trainer.num_nodes=3": "--trainer.num_nodes=1",
    }
    local = [here.get(word, word) for word in command]
    local[local.index(next(w for w in local if "endpoint" in w))] = "--standalone"
    run(growing, *local, *DEBUG)
    assert checkpoints(growing) == ["version_0"]


def test_without_launch_files_the_section_is_made(growing: Path) -> None:
    readme = growing / "README.md"
    text = readme.read_text()
    before, _, _ = text.partition("## Scale")
    readme.write_text(before)
    add("launcher", "torchrun")
    assert readme.read_text().startswith(
        f"{before.rstrip()}\n\n## Scale\n\n```sh\nbash "
    )
