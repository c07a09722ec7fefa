import time
from datetime import timedelta

import pytest

import scaffold_runtime as L
from scaffold_runtime.callbacks import ModelCheckpoint, Timer
from scaffold_runtime.errors import MisconfigurationError


class Slow(L.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        time.sleep(0.02)


@pytest.mark.parametrize(
    "duration",
    ["01:02:03:04", timedelta(1, 4, hours=2, minutes=3), {"seconds": 93784}],
)
def test_durations_in_all_their_forms(duration):
    assert Timer(duration).time_remaining() == 93784


@pytest.mark.parametrize("duration", ["1:2:3:4", "10", "00:00:99", 5, 1.5, ["x"]])
def test_what_is_no_duration_is_refused(duration):
    with pytest.raises(MisconfigurationError):
        Timer(duration)


def test_an_unknown_interval_is_refused():
    with pytest.raises(MisconfigurationError):
        Timer(interval="hour")


def test_without_duration_it_only_measures(net, make_trainer):
    timer = Timer()
    assert (timer.time_elapsed(), timer.start_time(), timer.time_remaining()) == (
        0,
        None,
        None,
    )
    make_trainer(timer, Slow(), max_epochs=1).fit(net())
    assert 0.08 < timer.time_elapsed("train") == timer.time_elapsed() < 5
    assert timer.time_elapsed() == timer.end_time() - timer.start_time()
    assert 0 < timer.time_elapsed("validate") < timer.time_elapsed("train")
    assert timer.time_elapsed("test") == 0


def test_stops_in_mid_epoch_or_at_its_end(net, make_trainer):
    for interval, steps in (("step", range(1, 4)), ("epoch", [4])):
        timer = Timer(timedelta(milliseconds=30), interval=interval)
        trainer = make_trainer(timer, Slow(), max_epochs=5, limit_val_batches=0)
        trainer.fit(net())
        assert trainer.global_step in steps
        assert timer.time_remaining() < 0


def test_time_before_a_resume_counts(net, make_trainer, tmp_path):
    checkpoint = ModelCheckpoint(tmp_path)
    make_trainer(Timer(), checkpoint, Slow(), max_epochs=1).fit(net())
    timer = Timer(timedelta(milliseconds=50))
    trainer = make_trainer(timer, max_epochs=9)
    trainer.fit(net(), ckpt_path=checkpoint.best_model_path)
    assert trainer.global_step <= 5
    assert timer.time_elapsed() > 0.08


def test_every_stage_has_a_time_and_no_other_word(net, make_trainer):
    stages = ["train", "sanity_check", "validate", "test", "predict"]
    assert [Timer().time_elapsed(stage) for stage in stages] == [0.0] * 5
    assert list(Timer().state_dict()["time_elapsed"]) == stages
    for ask in (Timer().time_elapsed, Timer().start_time, Timer().end_time):
        with pytest.raises(MisconfigurationError, match="stage='training'"):
            ask("training")
