"""Over generated arguments, a resumed run ends bitwise as one that was never stopped.

What it sends to its loggers is the last part of what that one sent.
"""

import tempfile
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, WeightedRandomSampler

from scaffold_runtime.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
)
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.loggers import Logger
from tests.reliability.recorded_run import (
    BATCH_SIZE,
    SAMPLES,
    Net,
    Samples,
    SaveEverywhere,
    differences,
    loader,
    outcome,
    run_case,
)
from tests.reliability.users_data import LazySampler, StatefulStream
from tests.reliability.users_nets import (
    ManualNet,
    NetInParts,
    NetOfLBFGS,
    NetOfOneCycle,
    NetThatOverflows,
    NetThatSkips,
    NetThatStops,
    NetWithMetrics,
    NetWithOwnStep,
    NetWithPlateaus,
    NetWithPlateausOfEpochs,
    ThawLastLayer,
)

either, one_of = st.booleans(), st.sampled_from


class RowLogger(Logger):
    """Keeps what it is sent."""

    name, version = "rows", 0

    def __init__(self):
        super().__init__()
        self.rows = []

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, sorted(metrics.items())))

    def log_hyperparams(self, *args, **kwargs):
        pass


def sampled(sampler):
    return DataLoader(Samples(), batch_size=BATCH_SIZE, sampler=sampler)


def validation():
    return loader(shuffle=False)


DATA = {
    "shuffled": loader,
    "without_the_rest": lambda: loader(drop_last=True),
    "own_sampler": lambda: sampled(LazySampler()),
    "weighted": lambda: sampled(WeightedRandomSampler(range(1, SAMPLES + 1), SAMPLES)),
    "stream": lambda: DataLoader(StatefulStream(), batch_size=BATCH_SIZE),
}
VALIDATION = {
    "none": lambda: None,
    "one": validation,
    "two": lambda: [validation(), validation()],
}
# A fit's callbacks hold its state: each run gets its own.
CALLBACKS = {
    "moving_average": lambda: EMAWeightAveraging(decay=0.8, update_every_n_steps=2),
    "early_stopping": lambda: EarlyStopping("loss", patience=0, strict=False),
    "accumulation": lambda: GradientAccumulationScheduler({0: 1, 1: 3}),
}
NETS = {
    Net: {},
    NetWithMetrics: {},
    NetWithPlateaus: {},
    NetWithPlateausOfEpochs: {},
    NetOfOneCycle: {},
    NetWithOwnStep: {},
    NetThatSkips: {},
    NetThatStops: {},
    NetThatOverflows: {"on_nonfinite": "skip", "check_finite": True},
    NetInParts: {},
    NetOfLBFGS: {"precision": "32-true"},
    ManualNet: {"accumulate_grad_batches": 1, "gradient_clip_val": None},
}
TRAINER = st.fixed_dictionaries(
    {"max_epochs": one_of([2, 3]), "log_every_n_steps": one_of([1, 2, 3])},
    optional={
        "max_steps": one_of([4, 7, 9, 11]),
        "min_epochs": st.just(2),
        "accumulate_grad_batches": one_of([2, 3]),
        "limit_train_batches": one_of([5, 7, 0.6]),
        "limit_val_batches": one_of([2, 0.5]),
        "val_check_interval": one_of([2, 3, 0.5]),
        "check_val_every_n_epoch": one_of([1, 2, None]),
        "num_sanity_val_steps": st.just(2),
        "gradient_clip_val": st.just(0.3),
        "gradient_clip_algorithm": one_of(["norm", "value"]),
        "check_finite": one_of(["grad", False]),
        "precision": st.just("bf16-mixed"),
        "overfit_batches": one_of([3, 0.5]),
        "reload_dataloaders_every_n_epochs": st.just(1),
    },
)
CASES = st.fixed_dictionaries(
    {
        "net": one_of(list(NETS)),
        "trainer": TRAINER,
        "data": one_of(list(DATA)),
        "val": one_of(list(VALIDATION)),
        "callbacks": st.sets(one_of(list(CALLBACKS))),
    }
)


def run(case, folder, *saves, ckpt_path=None, seed=0):
    """One run of a case: the trainer, and the rows of its logger."""
    net, logger = case["net"], RowLogger()
    names = case["callbacks"] - ({"accumulation"} if net is ManualNet else set())
    trainer = {**case["trainer"], **NETS[net]}
    if "accumulation" in names:
        trainer.pop("accumulate_grad_batches", None)

    def callbacks():
        thaws = [ThawLastLayer()] if net is NetInParts else []
        return thaws + [CALLBACKS[name]() for name in sorted(names)]

    made = run_case(
        folder,
        *saves,
        ckpt_path=ckpt_path,
        seed=seed,
        net=net,
        callbacks=callbacks,
        data=DATA[case["data"]],
        val=VALIDATION[case["val"]],
        logger=logger,
        **trainer,
    )
    return made, logger.rows


def check(case, places):
    """Compare the run without a stop with those resumed from some of the places."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            whole, rows = run(case, folder)
        except MisconfigurationError:
            return  # arguments that do not go together
        expected, seen = outcome(whole), whole.module.seen
        saves = SaveEverywhere(Path(folder))
        saving, _ = run(case, folder, saves)
        assert differences(expected, outcome(saving)) == []
        for place in places:
            path = saves.written[place % len(saves.written)]
            resumed, last_rows = run(case, folder, ckpt_path=path, seed=5)
            assert differences(expected, outcome(resumed)) == [], path.name
            last_seen = resumed.module.seen
            assert last_seen == seen[len(seen) - len(last_seen) :], path.name
            own = rows[len(rows) - len(last_rows) :]
            assert repr(last_rows) == repr(own), path.name  # a NaN is no equal


def of(count):
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


PLACES = st.lists(st.integers(0, 99), min_size=3, max_size=3, unique=True)


@of(10)
@given(CASES, PLACES)
def test_a_generated_run_resumes_exactly(case, places):
    check(case, places)


@pytest.mark.full
@of(200)
@given(CASES, PLACES)
def test_many_generated_runs_resume_exactly(case, places):
    check(case, places)
