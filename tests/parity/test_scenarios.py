"""Everything that a run shows equals Lightning's, feature by feature."""

import pytest

from tests.parity.compare import assert_equal, records
from tests.parity.twin import Scenario

BOTH = {"on_step": True, "on_epoch": True, "prog_bar": True}
PLATEAU = {"ReduceLROnPlateau": {"patience": 0, "factor": 0.5}}
HALVED = {"StepLR": {"step_size": 1, "gamma": 0.5}}
RISING = (1.0, 2.0, 3.0)
BEST_AT_TWO = (3.0, 2.0, 2.5, 2.2, 1.0)


def trainer(**arguments):
    return {"trainer": arguments}


SCENARIOS = {
    "defaults": {},
    "every entry point": {"entry_points": ("fit", "validate", "test", "predict")},
    "evaluation without fit": {"entry_points": ("validate", "test", "predict")},
    "two fits": {"entry_points": ("fit", "fit"), "stops": 3},
    "a dict is returned": {"returns": "dict"},
    "None skips a batch": {"returns": "none"},
    "accumulated, with a rest": {
        "samples": 14,
        **trainer(accumulate_grad_batches=3, gradient_clip_val=0.1),
    },
    "clipped by value": trainer(
        gradient_clip_val=0.01, gradient_clip_algorithm="value"
    ),
    "bf16-mixed": trainer(precision="bf16-mixed"),
    "64-true": trainer(precision="64-true"),
    "bf16-true": trainer(precision="bf16-true"),
    "logged every second step": {**trainer(log_every_n_steps=2), "log": BOTH},
    "logged while accumulating": {
        **trainer(log_every_n_steps=1, accumulate_grad_batches=2),
        "log": BOTH,
    },
    "a sum over the epoch": {"log": {"on_epoch": True, "reduce_fx": "sum"}},
    "weights given by hand": {"log": {"on_epoch": True, "batch_size": 3}},
    "validation logs steps": {**trainer(log_every_n_steps=1), "val_log": BOTH},
    "two validation loaders": {
        "val_loaders": 2,
        "val_log": BOTH,
        "entry_points": ("fit", "validate"),
        **trainer(log_every_n_steps=1),
    },
    "no validation": {"val_loaders": 0, "checkpoint": {}},
    "validation every second batch": trainer(val_check_interval=2),
    "validation in mid-epoch by a share": trainer(val_check_interval=0.5),
    "validation across epochs": trainer(
        val_check_interval=3, check_val_every_n_epoch=None
    ),
    "validation every second epoch": {
        **trainer(check_val_every_n_epoch=2, max_epochs=3, num_sanity_val_steps=0),
        "checkpoint": {},
    },
    "an interval beyond the epoch": trainer(val_check_interval=7),
    "max_steps in mid-epoch": {**trainer(max_steps=3), "checkpoint": {}},
    "max_steps alone": {
        **trainer(max_epochs=-1, max_steps=7),
        "checkpoint": {"save_last": True},
    },
    "min_steps hold a stop": {"stops": 2, **trainer(min_steps=8, max_epochs=4)},
    "min_epochs hold a stop": {"stops": 2, **trainer(min_epochs=2, max_epochs=4)},
    "a stop in mid-epoch": {"stops": 2, "checkpoint": {}, **trainer(max_epochs=4)},
    "manual optimization": {"manual": True, "lr_monitor": {}, "checkpoint": {}},
    "manual optimization in 64 bits": {"manual": True, **trainer(precision="64-true")},
    "manual optimization and its steps": {
        "manual": True,
        **trainer(max_steps=7, max_epochs=-1, log_every_n_steps=2),
    },
    "manual optimization clipped by the trainer": {
        "manual": True,
        **trainer(gradient_clip_val=0.5),
    },
    "data without a length": {"streams": True, "checkpoint": {}, "val_loaders": 2},
    "data without a length, accumulated": {
        "streams": True,
        "scheduler": {**PLATEAU, "monitor": "val_loss"},
        **trainer(accumulate_grad_batches=2, limit_train_batches=3),
    },
    "data without a length, in shares": {
        "streams": True,
        **trainer(limit_train_batches=0.5),
    },
    "data without a length, validated within": {
        "streams": True,
        **trainer(val_check_interval=2),
    },
    "data without a length, validated at shares": {
        "streams": True,
        **trainer(val_check_interval=0.5),
    },
    "no hook of the module": {
        "watches": False,
        "samples": 14,
        **trainer(accumulate_grad_batches=3, gradient_clip_val=0.1),
    },
    "no hook of the module, bf16-mixed": {
        "watches": False,
        **trainer(precision="bf16-mixed", log_every_n_steps=1),
    },
    "-1 ends the epoch of a stream": {"skips": 1, "streams": True, "val_loaders": 0},
    "-1 ends the epoch": {"skips": 2, "checkpoint": {}, "scheduler": HALVED},
    "limits by number": trainer(limit_train_batches=2, limit_val_batches=1),
    "limits by share": trainer(limit_train_batches=0.5, limit_val_batches=0.5),
    "a share that is nothing": trainer(limit_train_batches=0.1),
    "no training batches": trainer(limit_train_batches=0),
    "no validation batches": {
        **trainer(limit_val_batches=0),
        "entry_points": ("fit", "validate"),
        "checkpoint": {},
    },
    "fast_dev_run": {
        **trainer(fast_dev_run=2),
        "checkpoint": {},
        "entry_points": ("fit", "test"),
    },
    "overfit_batches": trainer(overfit_batches=2),
    "overfit_batches by share": trainer(overfit_batches=0.5),
    "no epochs": {**trainer(max_epochs=0), "checkpoint": {}},
    "loaders anew": trainer(reload_dataloaders_every_n_epochs=2, max_epochs=4),
    "the whole sanity check": trainer(num_sanity_val_steps=-1),
    "optimizer_step is overridden": {
        "own_step": True,
        **trainer(accumulate_grad_batches=2, gradient_clip_val=0.5),
    },
    "LBFGS": {"optimizer": "LBFGS", **trainer(gradient_clip_val=0.1)},
    "plateau of a validation metric": {
        "scheduler": {**PLATEAU, "monitor": "val_metric"},
        "metrics": RISING,
        **trainer(max_epochs=4),
    },
    "plateau per step": {
        "scheduler": {**PLATEAU, "monitor": "loss", "interval": "step"}
    },
    "plateau without its metric": {"scheduler": {**PLATEAU, "monitor": "nothing"}},
    "plateau that is not strict": {
        "scheduler": {**PLATEAU, "monitor": "nothing", "strict": False}
    },
    "early stopping": {
        "early_stopping": {"monitor": "val_metric", "patience": 2},
        "metrics": BEST_AT_TWO,
        "checkpoint": {"monitor": "val_metric", "save_top_k": 2},
        **trainer(max_epochs=8),
    },
    "early stopping in mid-epoch": {
        "early_stopping": {"monitor": "val_metric", "patience": 2},
        "metrics": BEST_AT_TWO,
        "checkpoint": {"monitor": "val_metric", "save_top_k": 2},
        **trainer(max_epochs=8, val_check_interval=2),
    },
    "rates are logged": {
        "lr_monitor": {},
        "scheduler": HALVED,
        **trainer(log_every_n_steps=2),
    },
    "rates are logged per step": {
        "lr_monitor": {"logging_interval": "step"},
        "scheduler": {**HALVED, "interval": "step"},
        **trainer(log_every_n_steps=2),
    },
    "rates are logged per epoch": {
        "lr_monitor": {"logging_interval": "epoch"},
        "scheduler": HALVED,
    },
    "no rate is due at an epoch's start": {
        "lr_monitor": {},
        "scheduler": {**HALVED, "interval": "step"},
        "metrics": (),
        "val_loaders": 0,
    },
    "checkpoints by steps": {
        "checkpoint": {"every_n_train_steps": 2, "save_top_k": -1}
    },
    "the best of steps": {
        "val_loaders": 0,
        "checkpoint": {"every_n_train_steps": 2, "save_top_k": 2, "monitor": "loss"},
    },
    "last.ckpt and a name of metrics": {
        "checkpoint": {
            "save_last": True,
            "monitor": "val_loss",
            "filename": "{epoch}-{val_loss:.2f}",
        }
    },
    "last.ckpt as a link": {
        "checkpoint": {"save_last": "link", "monitor": "val_loss", "save_top_k": 3}
    },
    "checkpoints every second epoch": {
        "checkpoint": {"every_n_epochs": 2, "save_top_k": -1},
        **trainer(max_epochs=5),
    },
    "checkpoints at the training epoch's end": {
        "checkpoint": {"save_on_train_epoch_end": True, "monitor": "loss"},
        **trainer(val_check_interval=0.5),
    },
}
# What both refuse, and what ends by a refusal in the middle.
REFUSED = {
    "an interval beyond the epoch",
    "data without a length, in shares",
    "data without a length, validated at shares",
    "manual optimization clipped by the trainer",
    "a share that is nothing",
    "plateau without its metric",
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_run_is_lightnings(name):
    record = assert_equal(Scenario(**SCENARIOS[name]))
    assert bool(record.error) == (name in REFUSED), record.message


@pytest.mark.parametrize("frequency", [1, 2, 3])
@pytest.mark.parametrize("interval", ["step", "epoch"])
@pytest.mark.parametrize(
    "scheduler", ["StepLR", "CosineAnnealingLR", "ReduceLROnPlateau"]
)
def test_rates_and_losses_are_bitwise_lightnings(scheduler, interval, frequency):
    given = {
        "StepLR": {"step_size": 1, "gamma": 0.7},
        "CosineAnnealingLR": {"T_max": 7},
        "ReduceLROnPlateau": {"patience": 0, "threshold": 10.0, "factor": 0.9},
    }
    monitored = {"monitor": "loss"} if scheduler == "ReduceLROnPlateau" else {}
    record = assert_equal(
        Scenario(
            trainer={"max_epochs": 4, "accumulate_grad_batches": 2},
            scheduler={
                scheduler: given[scheduler],
                "interval": interval,
                "frequency": frequency,
                **monitored,
            },
            optimizer="AdamW",
            samples=12,
            val_loaders=0,
        )
    )
    assert len(set(record.losses)) == 24
    assert len(set(record.rates)) > 1


@pytest.mark.parametrize("checkpoint", [{}, {"monitor": "val_loss", "save_last": True}])
def test_the_state_after_a_resume_is_lightnings(checkpoint):
    """Of an epoch's end, which both can resume.

    Ours goes on inside the epoch's end: hooks that had run do not run again, metrics are
    restored, and the epoch's log line is written, which a killed run may not have done.
    """
    resumed = Scenario(
        trainer={"num_sanity_val_steps": 0},
        checkpoint=checkpoint,
        resumes={"max_epochs": 4},
        optimizer="Adam",
        scheduler=HALVED,
        early_stopping={"monitor": "val_metric", "patience": 3},
        metrics=(1.0, 2.0),
    )
    assert_equal(resumed, leave_out=("hooks", "metrics", "lines"))


def test_a_difference_is_found():
    """The comparison itself can fail: other arguments give another record."""
    theirs, _ = records(Scenario())
    _, ours = records(Scenario(trainer={"max_epochs": 1}))
    assert theirs.losses != ours.losses
    assert theirs.hooks != ours.hooks
    assert theirs.lines != ours.lines
