import pytest
import torch

from scaffold_runtime.callbacks import LearningRateMonitor, ModelCheckpoint
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.loggers import CSVLogger, DummyLogger


class Record(DummyLogger):
    def __init__(self):
        super().__init__()
        self.rows = []

    def log_metrics(self, metrics, step=None):
        self.rows += [(step, name, v) for name, v in metrics.items() if "lr" in name]


def configured(net, configure):
    class Configured(net):
        def configure_optimizers(self):
            return configure(self)

    return Configured()


def exponential(optimizer):
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)


def test_by_epoch_and_by_step(net, make_trainer):
    def configure(module, interval):
        optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
        scheduler = {"scheduler": exponential(optimizer), "interval": interval}
        return [optimizer], [scheduler]

    expected = {
        "epoch": [(0, "lr-SGD", 1.0), (4, "lr-SGD", 0.5)],
        "step": [
            (1, "lr-SGD", 0.5),
            (3, "lr-SGD", 0.125),
            (5, "lr-SGD", 0.03125),
            (7, "lr-SGD", 0.0078125),
        ],
    }
    for interval, rows in expected.items():
        logger, monitor = Record(), LearningRateMonitor()
        trainer = make_trainer(
            monitor, max_epochs=2, logger=logger, log_every_n_steps=2
        )
        trainer.fit(configured(net, lambda module, i=interval: configure(module, i)))
        assert logger.rows == rows
        assert monitor.lrs == {"lr-SGD": [value for _, _, value in rows]}


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_a_given_interval_overrides_the_schedulers(net, make_trainer, interval):
    logger = Record()
    trainer = make_trainer(
        LearningRateMonitor(logging_interval=interval),
        max_epochs=2,
        logger=logger,
        log_every_n_steps=1,
    )
    trainer.fit(net())
    assert len(logger.rows) == {"step": 8, "epoch": 2}[interval]


def test_groups_names_and_second_optimizers(net, make_trainer):
    def configure(module):
        a, b = module.layer.weight, module.layer.bias
        first = torch.optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.2}], lr=0.1)
        second = torch.optim.SGD([{"params": [a], "name": "weights"}], lr=0.3)
        third = torch.optim.Adam([a], lr=0.4)
        named = {"scheduler": exponential(third), "name": "mine"}
        return [first, second, third], [exponential(first), named]

    class Manual(net):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            for optimizer in self.optimizers():
                optimizer.step()

        def configure_optimizers(self):
            return configure(self)

    monitor = LearningRateMonitor()
    trainer = make_trainer(monitor, max_epochs=1, logger=Record())
    trainer.fit(Manual())
    assert set(monitor.lrs) == {
        "lr-SGD/pg1",
        "lr-SGD/pg2",
        "lr-SGD-1/weights",
        "mine",
    }


def test_momentum_and_weight_decay(net, make_trainer):
    options = {"log_momentum": True, "log_weight_decay": True}
    for make, momentum in (
        (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.7, weight_decay=0.2), 0.7),
        (lambda p: torch.optim.Adam(p, betas=(0.8, 0.9), weight_decay=0.2), 0.8),
    ):
        monitor = LearningRateMonitor(**options)
        model = configured(net, lambda module, make=make: make(module.parameters()))
        make_trainer(monitor, max_epochs=1, logger=Record()).fit(model)
        assert list(monitor.last_momentum_values.values()) == [momentum]
        assert list(monitor.last_weight_decay_values.values()) == [0.2]
        (name,) = monitor.last_momentum_values
        assert name.endswith("-momentum")


def test_an_optimizer_without_momentum_is_said(net, make_trainer):
    monitor = LearningRateMonitor(log_momentum=True)
    model = configured(net, lambda module: torch.optim.Rprop(module.parameters()))
    with pytest.warns(RuntimeWarning, match="no momentum"):
        make_trainer(monitor, max_epochs=1, logger=Record()).fit(model)
    assert monitor.last_momentum_values == {"lr-Rprop-momentum": 0}


def test_a_checkpoint_may_monitor_it(net, make_trainer, tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, monitor="lr-SGD", filename="{lr-SGD}")
    monitor = LearningRateMonitor()
    make_trainer(monitor, checkpoint, max_epochs=1, logger=Record()).fit(net())
    assert checkpoint.best_model_score == pytest.approx(0.01)


def test_groups_of_one_name_are_refused(net, make_trainer):
    def configure(module):
        groups = [{"params": [p], "name": "same"} for p in module.parameters()]
        return torch.optim.SGD(groups, lr=0.1)

    with pytest.raises(MisconfigurationError, match="same"):
        make_trainer(LearningRateMonitor(), max_epochs=1, logger=Record()).fit(
            configured(net, configure)
        )


def test_without_a_logger_it_is_refused(net, make_trainer):
    with pytest.raises(MisconfigurationError, match="logger"):
        make_trainer(LearningRateMonitor(), max_epochs=1).fit(net())


def test_an_unknown_interval_is_refused():
    with pytest.raises(MisconfigurationError, match="'batch'"):
        LearningRateMonitor(logging_interval="batch")


def test_what_is_not_asked_for_is_none(net, make_trainer, tmp_path):
    monitor = LearningRateMonitor()
    make_trainer(monitor, max_epochs=1, logger=CSVLogger(tmp_path)).fit(net())
    assert monitor.last_momentum_values == {"lr-SGD-momentum": None}
    assert monitor.last_weight_decay_values == {"lr-SGD-weight_decay": None}


def test_an_optimizer_without_weight_decay_has_none_of_it(net, make_trainer, tmp_path):
    class Resilient(net):
        def configure_optimizers(self):
            return torch.optim.Rprop(self.parameters())

    monitor = LearningRateMonitor(log_weight_decay=True)
    make_trainer(monitor, max_epochs=1, logger=CSVLogger(tmp_path)).fit(Resilient())
    assert monitor.last_weight_decay_values == {"lr-Rprop-weight_decay": 0}
