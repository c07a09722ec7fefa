import pytest

import scaffold_runtime as L
from scaffold_runtime.callbacks import ThroughputMonitor
from scaffold_runtime.loggers import DummyLogger


class Record(DummyLogger):
    def __init__(self):
        super().__init__()
        self.rows = {}

    def log_metrics(self, metrics, step=None):
        if any("device" in name or name.endswith("time") for name in metrics):
            self.rows[step] = metrics


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Tick(L.Callback):
    """A batch takes two seconds."""

    def __init__(self, clock):
        self.clock = clock

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.clock.now += 2.0

    def on_validation_start(self, trainer, pl_module):
        self.clock.now += 100.0


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", clock)
    return clock


def batch_size(batch):
    return len(batch[0])


def test_rates_over_the_window(net, make_trainer, clock):
    model, logger = net(), Record()
    model.flops_per_batch = 10
    monitor = ThroughputMonitor(
        batch_size, length_fn=lambda batch: 5 * len(batch[0]), window_size=2
    )
    trainer = make_trainer(
        Tick(clock), monitor, max_epochs=1, logger=logger, log_every_n_steps=2
    )
    trainer.fit(model)
    train = {
        step: {n.removeprefix("train/"): v for n, v in row.items() if "train/" in n}
        for step, row in logger.rows.items()
    }
    assert train[3] == {
        "time": 8.0,
        "batches": 4,
        "samples": 32,
        "lengths": 160,
        "device/batches_per_sec": 0.5,
        "device/samples_per_sec": 4.0,
        "device/items_per_sec": 20.0,
        "device/flops_per_sec": 5.0,
    }


def test_validation_does_not_count_as_training(net, make_trainer, clock):
    logger = Record()
    trainer = make_trainer(
        Tick(clock),
        ThroughputMonitor(batch_size, window_size=2),
        max_epochs=2,
        logger=logger,
        log_every_n_steps=1,
        limit_val_batches=1,
        val_check_interval=2,
    )
    trainer.fit(net())
    rates = [row.get("train/device/samples_per_sec") for row in logger.rows.values()]
    assert set(rates[2:]) <= {4.0, None}
    assert rates.count(4.0) >= 3


def test_the_step_that_ends_the_run_is_logged_as_other_values_are(
    net, make_trainer, clock
):
    class Stop(L.Callback):
        def on_train_batch_start(self, trainer, *_):
            trainer.should_stop = trainer.global_step == 3

    logger = Record()
    monitor = ThroughputMonitor(batch_size)
    trainer = make_trainer(
        Stop(), monitor, logger=logger, log_every_n_steps=3, limit_val_batches=0
    )
    trainer.fit(net())
    seen = [row.get("train/batches") for row in logger.rows.values()]
    assert [batches for batches in seen if batches] == [3, 4]


def test_a_window_that_cannot_be_is_refused():
    with pytest.raises(L.MisconfigurationError, match="window_size='3'"):
        ThroughputMonitor(batch_size, window_size="3")


def test_other_stages(net, make_trainer, clock):
    logger = Record()
    trainer = make_trainer(
        ThroughputMonitor(batch_size), logger=logger, log_every_n_steps=4
    )
    trainer.test(net())
    assert [row["test/samples"] for row in logger.rows.values()] == [32]
