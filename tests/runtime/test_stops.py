"""A signal ends a run after a whole step, saved, with the code that a shell expects."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import scaffold_runtime as L
from scaffold_runtime.callbacks import ModelCheckpoint
from scaffold_runtime.stops import RunStopped, StopSignals
from tests.reliability.recorded_run import differences, fit, loader, outcome


class SignalAt(L.Callback):
    """Sends this process a signal in the middle of a training step."""

    def __init__(self, number, batches):
        self.number, self.batches = number, batches

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if trainer.progress.batches == self.batches:
            os.kill(os.getpid(), self.number)


def stopped(root, number, batches, **options):
    """The exit code of a run that gets a signal."""
    callbacks = [SignalAt(number, batches), ModelCheckpoint(root / "kept")]
    with pytest.raises(SystemExit) as end:
        fit(root, *callbacks, enable_checkpointing=True, **options)
    return end.value.code


def resumed(root, **options):
    callbacks = [SignalAt(0, -1), ModelCheckpoint(root / "kept")]
    options = {"enable_checkpointing": True, "ckpt_path": "last", **options}
    trainer = fit(root, *callbacks, seed=9, **options)
    return {**outcome(trainer), "callbacks": None}


def uninterrupted(root, **options):
    return {**outcome(fit(root, **options)), "callbacks": None}


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 143)],
)
@pytest.mark.filterwarnings("ignore:.*not empty")
def test_the_run_ends_with_the_signals_code_and_goes_on_exactly(number, code, tmp_path):
    assert stopped(tmp_path, number, 3) == code
    assert (tmp_path / "kept" / "last.ckpt").exists()
    assert differences(uninterrupted(tmp_path), resumed(tmp_path)) == []


@pytest.mark.filterwarnings("ignore:.*not empty")
def test_another_runs_last_checkpoint_stays(tmp_path):
    assert stopped(tmp_path, signal.SIGTERM, 3) == 143
    former = (tmp_path / "kept" / "last.ckpt").read_bytes()
    assert stopped(tmp_path, signal.SIGTERM, 5, seed=2) == 143
    assert (tmp_path / "kept" / "last.ckpt").read_bytes() == former
    expected = uninterrupted(tmp_path / "whole", seed=2)
    assert differences(expected, resumed(tmp_path)) == []


@pytest.mark.parametrize("batches", [0, 7, 8, 15])
@pytest.mark.filterwarnings("ignore:.*not empty")
def test_it_may_come_at_the_first_and_last_step_of_an_epoch(batches, tmp_path):
    options = {"val": loader(shuffle=False)}
    assert stopped(tmp_path, signal.SIGTERM, batches, **options) == 143
    assert (
        differences(uninterrupted(tmp_path, **options), resumed(tmp_path, **options))
        == []
    )


@pytest.mark.filterwarnings("ignore:.*not empty")
def test_it_may_come_in_accumulation(tmp_path):
    options = {"accumulate_grad_batches": 3}
    assert stopped(tmp_path, signal.SIGTERM, 5, **options) == 143
    assert (
        differences(uninterrupted(tmp_path, **options), resumed(tmp_path, **options))
        == []
    )


@pytest.mark.filterwarnings("ignore:.*not empty")
def test_a_run_may_be_stopped_again_and_again(tmp_path):
    expected = uninterrupted(tmp_path)
    assert stopped(tmp_path, signal.SIGTERM, 2) == 143
    for batches in (5, 9, 12):
        assert stopped(tmp_path, signal.SIGTERM, batches, ckpt_path="last") == 143
    assert differences(expected, resumed(tmp_path)) == []
    assert not list((tmp_path / "kept").glob("last-v*"))


@pytest.mark.filterwarnings("ignore:.*not empty")
def test_it_says_why_it_ended_and_where_it_goes_on(tmp_path, caplog):
    caplog.set_level("INFO")
    stopped(tmp_path, signal.SIGTERM, 3)
    assert "The run was stopped by SIGTERM after a whole step." in caplog.text
    assert f"goes on from {tmp_path / 'kept' / 'last.ckpt'}" in caplog.text


@pytest.mark.parametrize(("number", "asked"), [("SIGUSR1", True), ("SIGTERM", False)])
def test_slurm_is_asked_to_run_the_job_again(number, asked, tmp_path, monkeypatch):
    scontrol, told = tmp_path / "scontrol", tmp_path / "told"
    scontrol.write_text(f"#!/bin/sh\necho $@ > {told}\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    stopped(tmp_path, getattr(signal, number), 3)
    assert told.exists() == asked
    assert not asked or told.read_text() == "requeue 17\n"


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_interrupt_ends_at_once():
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
from scaffold_runtime.stops import StopSignals
with StopSignals() as signals:
    print("ready", flush=True)
    for _ in range(400):
        time.sleep(0.05)
"""


@pytest.mark.parametrize("launched", [False, True])
def test_a_second_termination_ends_at_once_unless_it_is_an_echo(launched):
    place = {"RANK": "0", "WORLD_SIZE": "2"} if launched else {}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, Path(L.__file__).parents[1]],
        env={**os.environ, **place},
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"ready\n"
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
    if launched:
        assert process.poll() is None
        process.kill()
    assert process.wait(10) == (-signal.SIGKILL if launched else -signal.SIGTERM)
    process.stdout.close()


def test_what_it_is_called():
    assert RunStopped(signal.SIGINT).exit_code == 130
    assert "SIGUSR1" in str(RunStopped(signal.SIGUSR1))
