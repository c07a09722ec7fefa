"""Everything that a run shows equals Lightning's, over generated arguments.

What differs on purpose (docs/differences.md) is kept out of the strategies, and only that.
"""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.parity.compare import assert_equal
from tests.parity.twin import Scenario

whole, either, one_of = st.integers, st.booleans(), st.sampled_from


def some(**arguments):
    """Any subset of the arguments."""
    return st.fixed_dictionaries({}, optional=arguments)


TRAINER = some(
    max_epochs=whole(0, 4),
    max_steps=one_of([-1, 0, 1, 3, 7, 12]),
    min_epochs=whole(0, 4),
    min_steps=one_of([0, 2, 6, 11]),
    limit_train_batches=one_of([1.0, 0.5, 0.7, 1, 3, 0, 100]),
    limit_val_batches=one_of([1.0, 0.5, 1, 2, 0]),
    limit_test_batches=one_of([1.0, 0.5, 1, 0]),
    limit_predict_batches=one_of([1.0, 0.5, 1, 0]),
    val_check_interval=one_of([1.0, 0.5, 0.25, 1, 2, 3, 7]),
    check_val_every_n_epoch=one_of([1, 2, 3, None]),
    num_sanity_val_steps=one_of([0, 1, 2, -1]),
    log_every_n_steps=one_of([1, 2, 3, 50]),
    accumulate_grad_batches=one_of([1, 2, 3]),
    gradient_clip_val=one_of([None, 0.05, 1.0]),
    gradient_clip_algorithm=one_of([None, "norm", "value"]),
    precision=one_of(["32-true", "bf16-mixed", "64-true", "bf16-true"]),
    overfit_batches=one_of([0.0, 0.5, 1, 2]),
    fast_dev_run=one_of([False, False, False, True, 2]),
    reload_dataloaders_every_n_epochs=one_of([0, 1, 2]),
    inference_mode=either,
    use_distributed_sampler=either,
    benchmark=either,
    max_time=st.just("00:01:00:00"),
    detect_anomaly=either,
)
LOG = some(
    on_step=either,
    on_epoch=either,
    prog_bar=either,
    logger=either,
    reduce_fx=one_of(["mean", "sum", "min", "max"]),
    batch_size=whole(1, 5),
)
MONITORED = one_of(["loss", "val_loss", "val_metric", "epoch_value"])


@st.composite
def schedulers(draw):
    kinds = {
        "StepLR": {"step_size": 2, "gamma": 0.5},
        "CosineAnnealingLR": {"T_max": 5},
        "ExponentialLR": {"gamma": 0.9},
        "ReduceLROnPlateau": {"patience": draw(whole(0, 2)), "factor": 0.5},
    }
    kind = draw(one_of(list(kinds)))
    config = {kind: kinds[kind]}
    if kind == "ReduceLROnPlateau":
        config |= {"monitor": draw(MONITORED), "strict": draw(either)}
    timing = some(interval=one_of(["step", "epoch"]), frequency=whole(1, 3))
    return {**config, **draw(timing)}


@st.composite
def checkpoints(draw):
    found = draw(
        some(
            monitor=one_of([None, "loss", "val_loss", "val_metric", "most"]),
            mode=one_of(["min", "max"]),
            save_top_k=one_of([-1, 0, 1, 2]),
            save_last=one_of([True, False, "link"]),
            filename=one_of([None, "{epoch}-{val_metric:.1f}", "x/{step}"]),
            auto_insert_metric_name=either,
            save_on_train_epoch_end=either,
            save_weights_only=either,
            enable_version_counter=either,
        )
    )
    trigger = draw(one_of(["", "", "every_n_epochs", "every_n_train_steps"]))
    return {**found, trigger: draw(whole(1, 4))} if trigger else found


EARLY_STOPPING = st.fixed_dictionaries(
    {"monitor": MONITORED},
    optional={
        "patience": whole(0, 3),
        "min_delta": one_of([0.0, 0.3]),
        "mode": one_of(["min", "max"]),
        "strict": either,
        "stopping_threshold": st.just(1.5),
        "divergence_threshold": st.just(4.0),
        "check_on_train_epoch_end": either,
    },
)
SCENARIOS = st.builds(
    Scenario,
    trainer=TRAINER,
    samples=whole(1, 14),
    batch_size=whole(1, 4),
    val_loaders=whole(0, 2),
    scheduler=st.none() | schedulers(),
    log=LOG,
    val_log=LOG,
    metrics=st.lists(one_of([1.0, 2.0, 3.0, 4.0, 5.0]), max_size=5).map(tuple),
    returns=one_of(["tensor", "tensor", "dict", "none"]),
    skips=one_of([None, None, None, 0, 1, 2]),
    stops=one_of([None, None, None, 1, 3, 6]),
    own_step=either,
    watches=either,
    streams=one_of([False, False, False, True]),
    optimizer=one_of(["SGD", "Adam", "LBFGS"]),
    checkpoint=st.none() | checkpoints(),
    early_stopping=st.none() | EARLY_STOPPING,
    lr_monitor=st.none() | some(logging_interval=one_of(["step", "epoch", None])),
    entry_points=one_of(
        [
            ("fit",),
            ("fit", "validate", "test"),
            ("validate", "fit", "predict"),
            ("predict",),
        ]
    ),
)


def without_known_differences(scenario: Scenario) -> Scenario:
    """The scenario less the combinations that docs/differences.md names.

    And less LBFGS without a loss, which torch's own `step` cannot do under either.
    """
    checkpoint = dict(scenario.checkpoint or {})
    if scenario.trainer.get("fast_dev_run"):
        checkpoint.pop("save_last", None)
    if "every_n_train_steps" in checkpoint and scenario.val_loaders:
        checkpoint.pop("monitor", None)
        checkpoint.pop("save_top_k", None)
    trainer = dict(scenario.trainer)
    if scenario.val_log.get("on_step"):
        trainer.pop("reload_dataloaders_every_n_epochs", None)
    if trainer.get("check_val_every_n_epoch", 1) is None:
        if trainer.get("val_check_interval") == 1.0:
            trainer.pop("val_check_interval")
    scheduler = dict(scenario.scheduler or {})
    if scenario.skips is not None:
        scheduler.pop("interval", None)
    return replace(
        scenario,
        trainer=trainer,
        returns="tensor" if scenario.optimizer == "LBFGS" else scenario.returns,
        checkpoint=None if scenario.checkpoint is None else checkpoint,
        scheduler=scheduler or None,
    )


def of(count):
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        report_multiple_bugs=True,
        suppress_health_check=list(HealthCheck),
    )


@of(25)
@given(SCENARIOS)
def test_a_generated_run_is_lightnings(scenario):
    assert_equal(without_known_differences(scenario))


@pytest.mark.full
@of(1000)
@given(SCENARIOS)
def test_many_generated_runs_are_lightnings(scenario):
    assert_equal(without_known_differences(scenario))
