"""Checkpoints written in the background: the same content, in order, and no error is lost."""

import os
import signal
import time

import pytest

import scaffold_runtime as L
from scaffold_runtime import trainer as trainer_module
from scaffold_runtime.callbacks import ModelCheckpoint
from scaffold_runtime.checkpoint import read_checkpoint, write_checkpoint
from scaffold_runtime.errors import CheckpointError, MisconfigurationError
from tests.reliability.recorded_run import differences, fit, outcome

SECONDS = 0.05


@pytest.fixture
def slow_disk(monkeypatch):
    """Every file takes longer than a step."""

    def write(content, path):
        time.sleep(SECONDS)
        write_checkpoint(content, path)

    monkeypatch.setattr(trainer_module, "write_checkpoint", write)


def keep_all(folder, **arguments):
    return ModelCheckpoint(
        folder, filename="{step}", every_n_train_steps=1, save_top_k=-1, **arguments
    )


def train(root, callback, *others, **options):
    return fit(root, *others, callback, enable_checkpointing=True, **options)


@pytest.mark.usefixtures("slow_disk")
def test_the_files_are_those_of_a_run_that_waits(tmp_path):
    train(tmp_path, keep_all(tmp_path / "waits"))
    train(tmp_path, keep_all(tmp_path / "goes_on", save_async=True))
    names = sorted(path.name for path in (tmp_path / "waits").iterdir())
    assert sorted(path.name for path in (tmp_path / "goes_on").iterdir()) == names
    assert len(names) == 16
    for name in names:
        contents = [read_checkpoint(tmp_path / k / name) for k in ("waits", "goes_on")]
        for content in contents:
            content["callbacks"] = None  # paths of two folders
        assert differences(*contents) == [], name


@pytest.mark.usefixtures("slow_disk")
def test_training_does_not_wait_for_the_disk(tmp_path):
    spent = {}
    for save_async in (False, True):
        callback = keep_all(tmp_path / str(save_async), save_async=save_async)
        times = []
        callback.on_train_epoch_end = lambda *_, t=times: t.append(time.monotonic())
        began = time.monotonic()
        train(tmp_path, callback)
        spent[save_async] = times[-1] - began
    assert spent[False] > 16 * SECONDS
    assert spent[True] < spent[False] - 8 * SECONDS


def test_an_error_is_raised_at_the_next_step_and_nothing_is_deleted(
    tmp_path, monkeypatch
):
    def fail_at_the_third(content, path):
        if content["global_step"] == 3:
            raise CheckpointError("The disk is full: make room.")
        write_checkpoint(content, path)

    monkeypatch.setattr(trainer_module, "write_checkpoint", fail_at_the_third)
    callback = ModelCheckpoint(
        tmp_path / "kept", filename="{step}", every_n_train_steps=1, save_async=True
    )

    class Wait(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            time.sleep(SECONDS)

    with pytest.raises(CheckpointError, match="disk is full"):
        train(tmp_path, callback, Wait())
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["step=2.ckpt"]


@pytest.mark.usefixtures("slow_disk")
@pytest.mark.filterwarnings("ignore:.*not empty")
def test_a_stop_comes_after_what_is_being_written(tmp_path):
    class Stop(L.Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            if trainer.progress.batches == 6 and trainer.ckpt_path is None:
                os.kill(os.getpid(), signal.SIGTERM)

    def run(**options):
        callback = ModelCheckpoint(
            tmp_path / "kept", every_n_train_steps=1, save_last=True, save_async=True
        )
        return train(tmp_path, callback, Stop(), **options)

    with pytest.raises(SystemExit):
        run()
    assert read_checkpoint(tmp_path / "kept" / "last.ckpt")["global_step"] == 7
    resumed = {**outcome(run(ckpt_path="last")), "callbacks": None}
    assert differences({**outcome(fit(tmp_path)), "callbacks": None}, resumed) == []


def test_a_link_to_what_is_not_written_is_refused():
    with pytest.raises(MisconfigurationError, match="use save_last=True"):
        ModelCheckpoint(save_async=True, save_last="link")
