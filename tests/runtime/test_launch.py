"""Where a process stands, and who starts the others."""

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import scaffold_runtime as L
from scaffold_runtime.launch import (
    ProcessPlace,
    rank_zero_debug,
    rank_zero_info,
    rank_zero_only,
    rank_zero_warn,
    read_place,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "SLURM_NTASKS", "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)

    def put(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return put


def test_a_process_alone_is_rank_zero_of_one(environment):
    assert read_place() == ProcessPlace()
    assert not read_place().launched


def test_torchrun_says_where_a_process_stands(environment):
    environment(RANK="5", LOCAL_RANK="1", WORLD_SIZE="8", LOCAL_WORLD_SIZE="4")
    place = read_place()
    assert (place.rank, place.local_rank, place.node_rank) == (5, 1, 1)
    assert (place.world_size, place.local_world_size, place.launched) == (8, 4, True)


def test_a_slurm_step_says_it_too(environment):
    environment(
        SLURM_NTASKS="4",
        SLURM_STEP_ID="0",
        SLURM_PROCID="3",
        SLURM_LOCALID="1",
        SLURM_NNODES="2",
        SLURM_JOB_ID="77",
        SLURM_LAUNCH_NODE_IPADDR="10.0.0.1",
        MASTER_ADDR="10.0.0.1",
        MASTER_PORT="1",
    )
    place = read_place()
    assert (place.rank, place.local_rank, place.node_rank) == (3, 1, 1)
    assert (place.world_size, place.local_world_size) == (4, 2)


def test_a_slurm_job_without_srun_is_one_process(environment):
    environment(SLURM_NTASKS="4", SLURM_PROCID="0")
    assert read_place() == ProcessPlace()


def test_only_rank_zero_speaks(monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    assert rank_zero_only.rank == 0
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rank_zero_warn("hidden")
    rank_zero_info("hidden")
    assert rank_zero_only(lambda: "done")() is None
    assert rank_zero_only(lambda: "done", default="left")() == "left"
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    rank_zero_info("said %s", "once")
    rank_zero_debug("quietly")
    assert rank_zero_only(lambda: "done", default="left")() == "done"
    said = [record.getMessage() for record in caplog.records]
    assert said[:1] == ["said once"]


def test_warnings_name_their_kind_and_line():
    with pytest.warns(DeprecationWarning, match="old") as caught:
        rank_zero_warn("old", category=DeprecationWarning)
        rank_zero_warn("old", stacklevel=2, category=DeprecationWarning)
    assert caught[0].filename == __file__


def test_the_rank_is_known_when_the_package_is_imported():
    code = (
        "from scaffold_runtime.launch import rank_zero_only; print(rank_zero_only.rank)"
    )
    environment = {**os.environ, "RANK": "3", "WORLD_SIZE": "4"}
    command = [sys.executable, "-c", code]
    said = subprocess.check_output(command, env=environment, text=True)
    assert said.strip() == "3"


def test_a_warning_points_at_the_line_outside_the_package(net, make_trainer):
    trainer = make_trainer(limit_train_batches=0)
    with pytest.warns(UserWarning, match="max_epochs is not set") as caught:
        trainer.fit(net())
    assert {warning.filename for warning in caught} == {__file__}


def test_an_interactive_session_cannot_be_started_again(net, make_trainer, monkeypatch):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    with pytest.raises(L.MisconfigurationError, match="put the code in a file"):
        make_trainer(devices=2, max_epochs=1).fit(net())


FAILING = """
import os, sys, time
import scaffold_runtime as L
engine = L.Engine(accelerator="cpu", devices=2)
engine.launch()
print("worker", engine.rank, flush=True)
if engine.rank == 1:
    {end}
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("sys.exit(3)", 3),
        ("os.kill(os.getpid(), 9)", 137),
    ],
)
def test_the_parent_exits_with_the_failing_workers_code(end, code, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(FAILING.format(end=end))
    process = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=55,
        env={"PYTHONPATH": str(ROOT / "runtime"), "OMP_NUM_THREADS": "1", "PATH": ""},
    )
    assert process.returncode == code, process.stderr
    assert sorted(process.stdout.splitlines()) == ["worker 0", "worker 1"]
