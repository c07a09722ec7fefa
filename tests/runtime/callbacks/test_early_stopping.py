import logging
import math

import pytest
import torch

import scaffold_runtime as L
from scaffold_runtime.callbacks import EarlyStopping, ModelCheckpoint
from scaffold_runtime.callbacks.early_stopping import EarlyStoppingReason
from scaffold_runtime.errors import MisconfigurationError


@pytest.mark.parametrize(
    ("values", "options", "stopped_epoch"),
    [
        ([6, 5, 5, 5, 5, 5], {"patience": 3}, 4),
        ([6, 4, 4, 3, 3], {"patience": 1}, 2),
        ([6, 5, 6, 5, 5, 5], {"patience": 3}, 4),
        ([1, 2, 3, 2, 1], {"patience": 2, "mode": "max"}, 4),
        ([6, 5.9, 5.8, 5.7], {"patience": 2, "min_delta": 0.5}, 2),
        ([5, 4.5, 4, 3.5], {"patience": 1, "min_delta": 0.5}, 1),
        ([6, 5, 4, 3], {"stopping_threshold": 4.5}, 2),
        ([6, 5, 50, 3], {"divergence_threshold": 10}, 2),
        ([1, 2, 3, 0], {"divergence_threshold": 0.5, "mode": "max"}, 3),
        ([6, 5, math.nan, 3], {}, 2),
        ([6, math.inf, 4], {"patience": 9}, 1),
    ],
)
def test_stops_at_the_right_epoch(net, make_trainer, values, options, stopped_epoch):
    callback = EarlyStopping("val_loss", **options)
    trainer = make_trainer(callback, max_epochs=len(values) + 1)
    trainer.fit(net(values=[float(value) for value in [*values, *values]]))
    assert callback.stopped_epoch == stopped_epoch
    assert trainer.current_epoch == stopped_epoch + 1


def test_trains_to_the_end_while_it_improves(net, make_trainer):
    callback = EarlyStopping("val_loss", patience=1)
    trainer = make_trainer(callback, max_epochs=4)
    trainer.fit(net(values=[4.0, 3.0, 2.0, 1.0]))
    assert (trainer.current_epoch, callback.stopped_epoch) == (4, 0)
    assert callback.best_score == 1.0
    assert callback.stopping_reason is EarlyStoppingReason.NOT_STOPPED


@pytest.mark.parametrize(
    ("options", "values", "reason"),
    [
        ({"patience": 1}, [1.0, 2.0], EarlyStoppingReason.PATIENCE_EXHAUSTED),
        ({}, [math.nan], EarlyStoppingReason.NON_FINITE_METRIC),
        ({"stopping_threshold": 2}, [1.0], EarlyStoppingReason.STOPPING_THRESHOLD),
        ({"divergence_threshold": 2}, [3.0], EarlyStoppingReason.DIVERGENCE_THRESHOLD),
        # the limits come before improvement, finiteness before the limits
        (
            {"stopping_threshold": 2, "divergence_threshold": 0},
            [1.0],
            EarlyStoppingReason.STOPPING_THRESHOLD,
        ),
        (
            {"stopping_threshold": 0, "mode": "max"},
            [math.inf],
            EarlyStoppingReason.NON_FINITE_METRIC,
        ),
    ],
)
def test_says_why(net, make_trainer, options, values, reason):
    callback = EarlyStopping("val_loss", **options)
    make_trainer(callback, max_epochs=3).fit(net(values=values))
    assert callback.stopping_reason is reason
    assert "val_loss" in callback.stopping_reason_message


def test_nan_is_only_worse_without_the_finite_check(net, make_trainer):
    callback = EarlyStopping("val_loss", check_finite=False, patience=2)
    trainer = make_trainer(callback, max_epochs=3)
    trainer.fit(net(values=[1.0, math.nan, 0.5]))
    assert trainer.current_epoch == 3
    assert callback.best_score == 0.5


def test_min_epochs_comes_first(net, make_trainer):
    callback = EarlyStopping("val_loss", patience=1)
    trainer = make_trainer(callback, max_epochs=9, min_epochs=5)
    trainer.fit(net(values=[1.0] * 9))
    assert trainer.current_epoch == 5


def test_several_validations_an_epoch_are_checks_each(net, make_trainer):
    callback = EarlyStopping("val_loss", patience=2)
    trainer = make_trainer(callback, max_epochs=3, val_check_interval=0.25)
    trainer.fit(net(values=[1.0, 2.0, 3.0, 0.5, 0.5, 0.5]))
    assert trainer.global_step == 3


def test_a_training_metric_is_checked_at_the_epochs_end(net, make_trainer):
    callback = EarlyStopping("train_loss", stopping_threshold=math.inf)
    trainer = make_trainer(callback, max_epochs=3, limit_val_batches=0)
    trainer.fit(net())
    assert trainer.current_epoch == 1


def test_a_missing_metric_is_an_error(net, make_trainer):
    callback = EarlyStopping("val_los")
    message = r"conditioned on metric `val_los`.*val_loss"
    with pytest.raises(RuntimeError, match=message):
        make_trainer(callback, max_epochs=1).fit(net())


def test_a_missing_metric_is_passed_over_when_not_strict(net, make_trainer):
    callback = EarlyStopping("val_los", strict=False, verbose=True)
    trainer = make_trainer(callback, max_epochs=2)
    with pytest.warns(RuntimeWarning, match="val_los"):
        trainer.fit(net())
    assert trainer.current_epoch == 2


def test_a_trial_run_does_not_look_for_the_metric(net, make_trainer):
    make_trainer(EarlyStopping("other"), fast_dev_run=True).fit(net())


def test_the_sanity_check_and_validate_do_not_count(net, make_trainer):
    callback = EarlyStopping("val_loss", check_on_train_epoch_end=False)
    trainer = make_trainer(callback, max_epochs=1, num_sanity_val_steps=2)
    trainer.validate(net())
    assert callback.best_score == math.inf
    trainer.fit(net(values=[3.0]))
    assert (callback.best_score, callback.wait_count) == (3.0, 0)


def test_its_state_is_restored(net, make_trainer, tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{epoch}")
    first = EarlyStopping("val_loss", patience=3)
    make_trainer(first, checkpoint, max_epochs=3).fit(net(values=[1.0, 2.0, 3.0]))
    second = EarlyStopping("val_loss", patience=3)
    resumed = net(values=[4.0] * 9)
    trainer = make_trainer(second, max_epochs=9)
    trainer.fit(resumed, ckpt_path=tmp_path / "epoch=2.ckpt")
    assert second.best_score == 1.0
    assert trainer.current_epoch == 4


def test_state_has_lightnings_keys():
    callback = EarlyStopping("x", mode="max")
    assert set(callback.state_dict()) == {
        "wait_count",
        "stopped_epoch",
        "best_score",
        "patience",
        "stopping_reason",
        "stopping_reason_message",
    }
    assert callback.state_key == "EarlyStopping{'monitor': 'x', 'mode': 'max'}"


def test_verbose_says_what_it_sees(net, make_trainer, caplog):
    callback = EarlyStopping("val_loss", patience=1, verbose=True)
    with caplog.at_level(logging.INFO, logger="scaffold_runtime"):
        make_trainer(callback, max_epochs=3).fit(net(values=[1.0, 2.0, 3.0]))
    assert "val_loss = 1.000 is the best so far." in caplog.text
    assert "did not improve in the last 1 checks" in caplog.text


def test_modes_may_be_added_and_limits_be_tensors():
    class Signed(EarlyStopping):
        mode_dict = {**EarlyStopping.mode_dict, "up": torch.gt}

    assert Signed("x", mode="up").mode == "up"
    assert EarlyStopping("x", min_delta=torch.tensor(0.5), mode="max").min_delta == 0.5


def test_a_mode_that_is_none_is_refused():
    with pytest.raises(MisconfigurationError, match="'min' or 'max'"):
        EarlyStopping("x", mode="up")


@pytest.mark.parametrize(
    "option",
    [
        {"patience": "3"},
        {"min_delta": "0.1"},
        {"stopping_threshold": "0.5"},
        {"divergence_threshold": "9"},
    ],
    ids=str,
)
def test_a_text_in_the_place_of_a_number_is_refused(option):
    (name,) = option
    with pytest.raises(MisconfigurationError, match=f"EarlyStopping: {name}='"):
        EarlyStopping("val_loss", **option)


def test_any_kind_of_number_will_do():
    EarlyStopping(
        "x", min_delta=0, patience=math.inf, stopping_threshold=torch.ones(())
    )


def test_both_stop_together_with_should_stop_of_others(net, make_trainer):
    """Another callback's request is not taken back."""

    class Stops(L.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.should_stop = True

    trainer = make_trainer(Stops(), EarlyStopping("val_loss"), max_epochs=5)
    trainer.fit(net(values=[2.0, 1.0, 0.0, 0.0, 0.0]))
    assert trainer.current_epoch == 1


def test_the_metric_may_be_a_tensor_of_one_element(net, make_trainer):
    class Shaped(net):
        def validation_step(self, batch, batch_idx):
            self.log("val_loss", torch.ones(1))

    callback = EarlyStopping("val_loss")
    make_trainer(callback, max_epochs=1).fit(Shaped())
    assert callback.best_score.shape == ()


def test_a_subclass_may_check_at_another_time(net, make_trainer):
    """As the documentation of Lightning shows it."""

    class AtValidation(EarlyStopping):
        def on_train_epoch_end(self, trainer, pl_module):
            pass

        def on_validation_end(self, trainer, pl_module):
            self._run_early_stopping_check(trainer)

    trainer = make_trainer(AtValidation("val_loss", patience=1), max_epochs=5)
    trainer.fit(net(values=[1.0, 2.0, 3.0, 4.0, 5.0]))
    assert trainer.current_epoch == 2


def test_a_subclass_may_override_when_no_check_is_made(net, make_trainer):
    class AfterWarmUp(EarlyStopping):
        def _should_skip_check(self, trainer):
            return trainer.current_epoch < 3 or super()._should_skip_check(trainer)

    trainer = make_trainer(AfterWarmUp("val_loss", patience=1), max_epochs=6)
    trainer.fit(net(values=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    assert trainer.current_epoch == 5


def test_a_state_that_is_not_whole_is_refused():
    with pytest.raises(KeyError, match="wait_count"):
        EarlyStopping("x").load_state_dict({})
    older = EarlyStopping("x")
    state = older.state_dict()
    del state["stopping_reason"], state["stopping_reason_message"]
    older.load_state_dict(state)
    assert older.stopping_reason_message is None
