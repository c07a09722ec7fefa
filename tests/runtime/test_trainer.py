"""The Trainer's doors, its state, and what it refuses, through public names."""

import csv
import re
from datetime import timedelta

import lightning
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import scaffold_runtime as L
from scaffold_runtime.callbacks import (
    Checkpoint,
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateMonitor,
    ModelCheckpoint,
    ModelSummary,
    ProgressBar,
    RichProgressBar,
    Timer,
)
from scaffold_runtime.loggers import CSVLogger, DummyLogger, TensorBoardLogger
from scaffold_runtime.profilers import SimpleProfiler
from tests.runtime.callbacks.conftest import QUIET, loader


class Data(L.LightningDataModule):
    """Notes its hooks; gives the loaders of all stages."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def prepare_data(self):
        self.calls.append("prepare_data")

    def setup(self, stage):
        self.calls.append(f"setup {stage}")

    def teardown(self, stage):
        self.calls.append(f"teardown {stage}")

    def train_dataloader(self):
        return loader(shuffle=True)

    def val_dataloader(self):
        return loader()

    def test_dataloader(self):
        return loader(samples=16)

    def predict_dataloader(self):
        return loader(samples=24)


# --- the doors ----------------------------------------------------------------------------


def test_fit_learns_and_leaves_its_counters(net, make_trainer):
    model, trainer = net(), make_trainer(max_epochs=20)
    before = nn.functional.mse_loss(model(torch.ones(1, 2)), torch.full((1, 1), 2.0))
    trainer.fit(model)
    after = nn.functional.mse_loss(model(torch.ones(1, 2)), torch.full((1, 1), 2.0))
    assert after < before
    assert (trainer.current_epoch, trainer.global_step) == (20, 80)
    assert trainer.state.finished
    assert trainer.state.fn == "fit"
    assert set(trainer.callback_metrics) == {"train_loss", "val_loss"}


def test_a_data_module_gives_every_stage_its_loaders(net, make_trainer):
    data, model, trainer = Data(), net(), make_trainer(max_epochs=1)
    trainer.fit(model, datamodule=data)
    trainer.validate(model, datamodule=data, verbose=False)
    trainer.test(model, data, verbose=False)
    predicted = trainer.predict(model, datamodule=data)
    assert data.calls == [
        call
        for stage in ("fit", "validate", "test", "predict")
        for call in ("prepare_data", f"setup {stage}", f"teardown {stage}")
    ]
    assert len(predicted) == 3


def test_loaders_passed_come_before_the_modules_own(net, make_trainer):
    trainer = make_trainer(max_epochs=1)
    trainer.fit(net(), loader(samples=8), loader(samples=8))
    assert (trainer.num_training_batches, trainer.num_val_batches) == (1, [1])


def test_validate_and_test_return_a_dict_for_each_loader(net, make_trainer):
    trainer = make_trainer()
    model = net()
    (one,) = trainer.validate(model, verbose=False)
    assert set(one) == {"val_loss"}
    (one,) = trainer.test(model, verbose=False)
    assert set(one) == {"test_loss"}


def test_validate_prints_its_metrics_unless_told_not_to(net, make_trainer, capsys):
    model, trainer = net(), make_trainer()
    trainer.validate(model, verbose=False)
    assert "val_loss" not in capsys.readouterr().out
    trainer.validate(model)
    assert "val_loss" in capsys.readouterr().out


def test_predict_returns_batches_on_the_cpu_without_gradients(net, make_trainer):
    predicted = make_trainer().predict(net(), loader(samples=10, batch_size=4))
    assert [len(batch) for batch in predicted] == [4, 4, 2]
    assert not any(batch.requires_grad for batch in predicted)


def test_predict_leaves_no_sample_out(net, make_trainer):
    data = TensorDataset(torch.ones(5, 2), torch.ones(5, 1))
    dropping = DataLoader(data, batch_size=2, drop_last=True)
    predictions = make_trainer().predict(net(), dropping)
    assert [len(batch) for batch in predictions] == [2, 2, 1]
    trainer = make_trainer()
    trainer.validate(net(), dropping, verbose=False)
    assert trainer.num_val_batches == [2]


def test_predict_keeps_nothing_when_told_so(net, make_trainer):
    assert make_trainer().predict(net(), return_predictions=False) is None


def test_predict_returns_a_list_for_each_of_several_loaders(net, make_trainer):
    class Several(net):
        def predict_step(self, batch, batch_idx, dataloader_idx):
            return dataloader_idx

    loaders = [loader(samples=8), loader(samples=16)]
    assert make_trainer().predict(Several(), loaders) == [[0], [1, 1]]


def test_test_without_model_and_path_takes_the_best(net, make_trainer):
    keeper = ModelCheckpoint(monitor="val_loss", mode="max", save_top_k=1)
    trainer = make_trainer(keeper, max_epochs=3)
    model = net(values=[1.0, 5.0, 2.0])
    trainer.fit(model)
    assert keeper.best_model_path.endswith("epoch=1-step=8.ckpt")
    best = net.load_from_checkpoint(keeper.best_model_path)
    trainer.test(verbose=False)
    assert trainer.ckpt_path == keeper.best_model_path
    torch.testing.assert_close(model.layer.weight, best.layer.weight)


def test_fit_goes_on_from_a_checkpoint(net, make_trainer, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "5")
    straight = net()
    make_trainer(max_epochs=5).fit(straight)
    torch.manual_seed(0)
    keeper = ModelCheckpoint(save_last=True)
    make_trainer(keeper, max_epochs=2).fit(net())
    torch.manual_seed(99)
    resumed, trainer = net(), make_trainer(ModelCheckpoint(), max_epochs=5)
    trainer.fit(resumed, ckpt_path=keeper.last_model_path)
    assert (trainer.current_epoch, trainer.global_step) == (5, 20)
    assert torch.equal(resumed.layer.weight, straight.layer.weight)


def test_early_stopping_ends_a_run(net, make_trainer):
    stopper = EarlyStopping("val_loss", patience=2)
    trainer = make_trainer(stopper, max_epochs=20)
    trainer.fit(net(values=[3.0, 1.0, 2.0, 2.0, 0.0]))
    assert trainer.current_epoch == 4
    assert stopper.stopped_epoch == 3
    assert trainer.should_stop


def test_max_time_ends_a_run(net, make_trainer):
    trainer = make_trainer(max_time=timedelta(0), max_epochs=1000)
    trainer.fit(net())
    assert trainer.current_epoch < 1000


# --- loggers ------------------------------------------------------------------------------


def test_csv_and_tensorboard_get_the_same_values(net, make_trainer, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loggers = [CSVLogger(tmp_path, name="csv"), TensorBoardLogger(tmp_path, name="tb")]
    monitor = LearningRateMonitor("step")
    trainer = make_trainer(monitor, logger=loggers, max_epochs=2, log_every_n_steps=2)
    trainer.fit(net())
    with open(tmp_path / "csv" / "version_0" / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    events = EventAccumulator(str(tmp_path / "tb" / "version_0")).Reload()
    for name, steps in (("train_loss", [1, 3, 5, 7]), ("val_loss", [3, 7])):
        written = [(int(r["step"]), float(r[name])) for r in rows if r[name]]
        assert [step for step, _ in written] == steps
        read = [(event.step, event.value) for event in events.Scalars(name)]
        assert read == [(step, pytest.approx(value)) for step, value in written]
    assert [r["lr-SGD"] for r in rows if r["lr-SGD"]] == ["0.01"] * 4
    assert trainer.log_dir == str(tmp_path / "csv" / "version_0")


def test_the_default_logger_is_csv_in_lightnings_folder(net, tmp_path):
    trainer = L.Trainer(
        **{**QUIET, "logger": True}, max_epochs=1, default_root_dir=tmp_path
    )
    with pytest.warns(UserWarning, match="log_every_n_steps"):
        trainer.fit(net())
    assert (tmp_path / "lightning_logs" / "version_0" / "metrics.csv").is_file()
    saved = tmp_path / "lightning_logs" / "version_0" / "checkpoints"
    assert [file.name for file in saved.iterdir()] == ["epoch=0-step=4.ckpt"]


# --- limits and short cuts ----------------------------------------------------------------


def test_neither_epochs_nor_steps_is_a_thousand_epochs_and_a_warning(net, tmp_path):
    class Ending(net):
        def on_train_start(self):
            self.trainer.should_stop = True

    trainer = L.Trainer(**QUIET, default_root_dir=tmp_path)
    assert trainer.max_epochs is None
    trainer.validate(Ending(), verbose=False)
    with pytest.warns(UserWarning, match="1000 epochs"):
        trainer.fit(Ending())
    assert trainer.max_epochs == 1000


@pytest.mark.parametrize("library", [L, lightning])
@pytest.mark.parametrize(
    ("interval", "epochs", "validated"),
    [
        ({"seconds": 0}, 1, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("00:00:00:00", 2, [4, 5, 6, 7]),
        (timedelta(0), None, [0, 1, 2, 3, 4, 5, 6, 7]),
        (timedelta(hours=1), 1, []),
    ],
)
def test_validation_by_the_clock_is_lightnings(
    library, interval, epochs, validated, tmp_path
):
    found = []

    class Model(library.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def training_step(self, batch, batch_idx):
            self.batches = self.trainer.current_epoch * 4 + batch_idx
            return self.layer(batch[0]).mean()

        def validation_step(self, batch, batch_idx):
            return None

        def on_validation_start(self):
            found.append(self.batches)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.0)

    trainer = library.Trainer(
        **QUIET,
        max_epochs=2,
        val_check_interval=interval,
        check_val_every_n_epoch=epochs,
        default_root_dir=tmp_path,
    )
    trainer.fit(Model(), loader(), loader())
    assert found == validated


def test_steps_of_a_changing_accumulation_are_not_estimated(net, make_trainer):
    class Asking(net):
        def configure_optimizers(self):
            return self.trainer.estimated_stepping_batches

    trainer = make_trainer(GradientAccumulationScheduler({2: 4}), max_epochs=4)
    with pytest.raises(L.MisconfigurationError, match="stays the same"):
        trainer.fit(Asking())


def test_a_checkpoint_callback_of_ones_own_takes_the_default_ones_place(tmp_path):
    class Own(Checkpoint):
        pass

    trainer = L.Trainer(
        accelerator="cpu", callbacks=Own(), max_epochs=1, default_root_dir=tmp_path
    )
    assert trainer.checkpoint_callback is trainer.callbacks[-1]
    assert [type(callback) for callback in trainer.checkpoint_callbacks] == [Own]


def test_steps_alone_have_no_end_of_epochs(net, make_trainer):
    trainer = make_trainer(max_steps=10)
    trainer.fit(net())
    assert (trainer.max_epochs, trainer.global_step) == (-1, 10)


def test_fast_dev_run_leaves_nothing_behind(net, tmp_path):
    trainer = L.Trainer(accelerator="cpu", fast_dev_run=True, default_root_dir=tmp_path)
    trainer.fit(net())
    assert (trainer.global_step, trainer.num_val_batches) == (1, [1])
    assert isinstance(trainer.checkpoint_callback, ModelCheckpoint)
    assert list(tmp_path.iterdir()) == []


def test_fast_dev_run_has_one_logger_that_logs_nothing():
    loggers = [CSVLogger("a"), CSVLogger("b")]
    trainer = L.Trainer(accelerator="cpu", fast_dev_run=True, logger=loggers)
    assert [type(logger).__name__ for logger in trainer.loggers] == ["DummyLogger"]


def test_barebones_turns_off_what_is_not_the_loop(net, tmp_path):
    trainer = L.Trainer(
        accelerator="cpu", barebones=True, max_epochs=1, default_root_dir=tmp_path
    )
    trainer.fit(net())
    assert (trainer.callbacks, trainer.loggers) == ([], [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "argument",
    [
        {"enable_checkpointing": True},
        {"logger": True},
        {"enable_progress_bar": True},
        {"log_every_n_steps": 1},
        {"enable_model_summary": True},
        {"num_sanity_val_steps": 1},
        {"fast_dev_run": True},
        {"detect_anomaly": True},
        {"profiler": "simple"},
    ],
    ids=lambda argument: next(iter(argument)),
)
def test_barebones_refuses_what_it_turns_off_as_lightning_does(argument):
    arguments = {"accelerator": "cpu", "barebones": True, "max_epochs": 1, **argument}
    for library in (L, lightning):
        with pytest.raises(ValueError, match=next(iter(argument))):
            library.Trainer(**arguments)


def test_barebones_records_nothing_and_says_so(net):
    trainer = L.Trainer(accelerator="cpu", barebones=True, max_epochs=1)
    with pytest.warns(UserWarning, match="barebones"):
        trainer.fit(net())
    assert trainer.callback_metrics == {}


def test_no_step_is_logged_every_zero_steps(net, make_trainer, tmp_path):
    logger = CSVLogger(tmp_path, name="csv")
    trainer = make_trainer(logger=logger, max_epochs=1, log_every_n_steps=0)
    trainer.fit(net())
    with open(tmp_path / "csv" / "version_0" / "metrics.csv") as file:
        assert set(next(csv.reader(file))) == {"epoch", "step", "val_loss"}


def test_hyperparameters_are_logged_unless_told_not_to(make_trainer, net, tmp_path):
    graphs = []

    class Graphs(CSVLogger):
        def log_graph(self, model, input_array=None):
            graphs.append(self.name)

    class Saving(net):
        def __init__(self, width=3):
            super().__init__()
            self.save_hyperparameters()

    for logged in (True, False):
        logger = Graphs(tmp_path, name=str(logged))
        make_trainer(
            logger=logger,
            max_epochs=1,
            log_every_n_steps=1,
            enable_autolog_hparams=logged,
        ).fit(Saving())
        file = tmp_path / str(logged) / "version_0" / "hparams.yaml"
        assert (file.is_file() and "width: 3" in file.read_text()) == logged
    assert graphs == ["True"]


def test_a_logger_may_be_set_after_construction(net, make_trainer, tmp_path):
    trainer = make_trainer(max_epochs=1, logger=False)
    trainer.logger = logger = CSVLogger(tmp_path)
    trainer.fit(net())
    assert (trainer.loggers, trainer.log_dir) == ([logger], logger.log_dir)
    trainer.logger = None
    assert (trainer.logger, trainer.loggers) == (None, [])


def test_one_dummy_logger_stands_for_all_in_a_trial_run(make_trainer, tmp_path):
    both = [CSVLogger(tmp_path / "a"), CSVLogger(tmp_path / "b")]
    trainer = make_trainer(fast_dev_run=True, logger=both)
    assert [type(logger) for logger in trainer.loggers] == [DummyLogger]


def test_modules_are_made_in_the_runs_precision(make_trainer):
    trainer = make_trainer(precision="64-true", max_epochs=1)
    with trainer.init_module():
        layer = nn.Linear(2, 2)
    assert layer.weight.dtype is torch.float64
    assert torch.get_default_dtype() is torch.float32
    with (
        pytest.raises(L.MisconfigurationError, match="meta"),
        trainer.init_module(True),
    ):
        pass


def test_the_trainer_prints_on_rank_zero(make_trainer, capsys):
    trainer = make_trainer(max_epochs=1)
    trainer.print("a", "b", sep="-")
    assert capsys.readouterr().out == "a-b\n"
    trainer.is_global_zero = False
    trainer.print("c")
    assert capsys.readouterr().out == ""


def test_what_a_checkpoint_may_not_do_is_refused(net, make_trainer, tmp_path):
    trainer, model = make_trainer(max_epochs=1), net()
    for door in (trainer.fit, trainer.validate, trainer.test, trainer.predict):
        with pytest.raises(L.MisconfigurationError, match="weights_only=False"):
            door(model, weights_only=False)
    trainer.fit(model, weights_only=True)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    with pytest.raises(L.MisconfigurationError, match="weights_only=False"):
        net.load_from_checkpoint(tmp_path / "x.ckpt", weights_only=False)
    with pytest.raises(L.MisconfigurationError, match="storage_options"):
        trainer.save_checkpoint(tmp_path / "x.ckpt", storage_options={"key": "secret"})


def test_estimated_steps_count_accumulation_and_limits(net, make_trainer):
    estimates = {}

    class Asking(net):
        def configure_optimizers(self):
            estimates[name] = self.trainer.estimated_stepping_batches
            return super().configure_optimizers()

    cases = {
        "epochs": ({"max_epochs": 3}, 12),
        "accumulated": ({"max_epochs": 3, "accumulate_grad_batches": 3}, 6),
        "steps": ({"max_epochs": 3, "max_steps": 7}, 7),
        "endless": ({"max_epochs": -1, "max_steps": 5}, 5),
        "scheduled": ({"max_epochs": 3}, 6),
    }
    for name, (arguments, expected) in cases.items():
        scheduled = [GradientAccumulationScheduler({0: 3})] * (name == "scheduled")
        trainer = make_trainer(*scheduled, **arguments)
        trainer.fit(Asking())
        assert estimates[name] == expected
        assert trainer.global_step == expected


def test_steps_of_data_without_a_length_are_estimated_by_max_steps(net, make_trainer):
    estimates = []

    class Asking(net):
        def configure_optimizers(self):
            estimates.append(self.trainer.estimated_stepping_batches)
            return super().configure_optimizers()

    for steps in (-1, 3):
        trainer = make_trainer(max_epochs=1, max_steps=steps)
        assert trainer.estimated_stepping_batches == steps
        trainer.fit(Asking(), iter(list(loader())))
    assert estimates == [-1, 3]


# --- precision and device -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("precision", "weights", "product"),
    [
        ("32-true", torch.float32, torch.float32),
        (32, torch.float32, torch.float32),
        ("bf16-mixed", torch.float32, torch.bfloat16),
        ("bf16-true", torch.bfloat16, torch.bfloat16),
        ("64-true", torch.float64, torch.float64),
        (None, torch.float32, torch.float32),
    ],
)
def test_a_precision_is_that_of_weights_and_products(
    precision, weights, product, net, make_trainer
):
    seen = set()

    class Watching(net):
        def training_step(self, batch, batch_idx):
            seen.add((self.layer.weight.dtype, self(batch[0]).dtype))
            return super().training_step(batch, batch_idx)

    model = Watching()
    make_trainer(precision=precision, max_epochs=1).fit(model)
    assert seen == {(weights, product)}
    assert torch.get_default_dtype() is torch.float32


def test_half_precision_on_the_cpu_falls_back_with_a_warning(net, make_trainer):
    with pytest.warns(UserWarning, match="bf16-mixed"):
        trainer = make_trainer(precision="16-mixed", max_epochs=1)
    trainer.fit(net())
    assert trainer.precision == "bf16-mixed"


@pytest.mark.parametrize("devices", [1, "auto", "1"])
def test_the_cpu_is_one_device_unless_more_are_asked_for(devices):
    trainer = L.Trainer(**QUIET, devices=devices, max_epochs=1)
    assert (trainer.num_devices, trainer.world_size) == (1, 1)


@pytest.mark.parametrize("algorithm", ["norm", "value", None])
def test_gradients_are_clipped_just_before_the_step(algorithm, net, make_trainer):
    seen = []

    class Watching(net):
        def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
            optimizer.step(closure=optimizer_closure)
            seen.append(torch.cat([p.grad.flatten() for p in self.parameters()]))

    clip = {"gradient_clip_val": 0.01, "gradient_clip_algorithm": algorithm}
    make_trainer(max_epochs=1, **clip).fit(Watching())
    assert len(seen) == 4
    for gradient in seen:
        size = gradient.abs().max() if algorithm == "value" else gradient.norm()
        assert size == pytest.approx(0.01, rel=1e-3)


def test_accumulated_batches_are_one_larger_batch(net, make_trainer):
    def weights(batch_size, **arguments):
        torch.manual_seed(0)
        model = net()
        trainer = make_trainer(max_epochs=3, **arguments)
        trainer.fit(model, loader(batch_size=batch_size), loader())
        return trainer.global_step, model.layer.weight

    steps, expected = weights(batch_size=16)
    accumulated_steps, accumulated = weights(batch_size=4, accumulate_grad_batches=4)
    assert accumulated_steps == steps == 6
    torch.testing.assert_close(accumulated, expected)


# --- endings ------------------------------------------------------------------------------


def test_an_exception_reaches_everybody_and_is_raised_again(
    net, make_trainer, tmp_path
):
    heard = []

    class Listener(L.Callback):
        def on_exception(self, trainer, pl_module, exception):
            heard.append(("callback", str(exception)))

    class Failing(net):
        def training_step(self, batch, batch_idx):
            raise KeyError("broken")

        def on_exception(self, exception):
            heard.append(("module", str(exception)))

    class Ending(CSVLogger):
        def finalize(self, status):
            heard.append(("logger", status))

    trainer = make_trainer(Listener(), logger=Ending(tmp_path), max_epochs=1)
    with pytest.raises(KeyError, match="broken"):
        trainer.fit(Failing())
    assert heard == [
        ("callback", "'broken'"),
        ("module", "'broken'"),
        ("logger", "failed"),
    ]
    assert trainer.state.status == "interrupted"
    assert trainer.interrupted


def test_ctrl_c_ends_with_the_shells_code(net, make_trainer):
    class Interrupted(net):
        def training_step(self, batch, batch_idx):
            raise KeyboardInterrupt

    trainer = make_trainer(max_epochs=1)
    with pytest.raises(SystemExit) as ending:
        trainer.fit(Interrupted())
    assert ending.value.code == 130
    assert trainer.interrupted


def test_a_run_that_failed_was_interrupted(net, make_trainer):
    heard = []

    class Hearing(L.Callback):
        def on_exception(self, trainer, pl_module, exception):
            heard.append(trainer.interrupted)

    class Failing(net):
        def training_step(self, batch, batch_idx):
            raise KeyError("broken")

    trainer = make_trainer(Hearing(), max_epochs=1)
    with pytest.raises(KeyError):
        trainer.fit(Failing())
    assert heard == [True] and trainer.interrupted
    trainer.fit(net())
    assert not trainer.interrupted


def test_a_summary_of_ones_own_needs_no_word(net, make_trainer):
    trainer = make_trainer(ModelSummary(2), enable_model_summary=False, max_epochs=1)
    assert isinstance(trainer.callbacks[0], ModelSummary)


def test_a_timer_among_the_callbacks_comes_before_max_time(make_trainer):
    with pytest.warns(UserWarning, match="max_time is left out"):
        trainer = make_trainer(Timer({"days": 1}), max_time={"seconds": 1})
    (timer,) = (callback for callback in trainer.callbacks if type(callback) is Timer)
    assert timer.time_remaining() == 24 * 3600


# --- refusals -----------------------------------------------------------------------------

ONE_SENTENCE = re.compile(r"[^\n]+[.]")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"accelerator": "tpu"}, "tpu.*'cpu'"),
        ({"accelerator": "warp"}, "'warp'.*'auto'"),
        ({"devices": 0}, "devices=0"),
        ({"devices": "two"}, "'two'"),
        ({"devices": [0, 5]}, "1 cpu"),
        ({"devices": -1}, "devices=-1"),
        ({"devices": [0, 0]}, "1 cpu"),
        ({"num_nodes": 0}, "num_nodes=0"),
        ({"num_nodes": "1"}, "num_nodes='1'"),
        ({"max_time": 60}, "60 is no duration"),
        ({"max_time": {"moments": 1}}, "moments.*is no duration"),
        ({"gradient_clip_algorithm": 1}, "gradient_clip_algorithm='1'"),
        ({"precision": "8-bit"}, "8-bit.*bf16-mixed"),
        ({"gradient_clip_algorithm": "norms"}, "norms.*'norm'"),
        ({"accumulate_grad_batches": 0}, "accumulate_grad_batches=0"),
        ({"accumulate_grad_batches": 1.5}, "accumulate_grad_batches=1.5"),
        ({"max_epochs": -2}, "max_epochs=-2"),
        ({"max_steps": -3}, "max_steps=-3"),
        ({"limit_train_batches": 1.5}, "limit_train_batches=1.5"),
        ({"limit_val_batches": -1}, "limit_val_batches=-1"),
        ({"val_check_interval": 2.5}, "val_check_interval=2.5"),
        ({"val_check_interval": 0.5, "check_val_every_n_epoch": None}, "whole number"),
        ({"fast_dev_run": -1}, "fast_dev_run=-1"),
        ({"on_nonfinite": "ignore"}, "'skip'"),
        ({"profiler": "nothing"}, "nothing"),
        ({"profiler": SimpleProfiler}, "SimpleProfiler.*or an object"),
        ({"plugins": [object()]}, "precision or strategy"),
        ({"model_registry": "mine"}, "model_registry"),
        ({"gradient_clip_val": "1"}, "gradient_clip_val='1'"),
        ({"check_val_every_n_epoch": 0}, "check_val_every_n_epoch=0"),
        ({"reload_dataloaders_every_n_epochs": -1}, "every_n_epochs=-1"),
        ({"log_every_n_steps": -1}, "log_every_n_steps=-1"),
        ({"overfit_batches": -1}, "overfit_batches=-1"),
        ({"default_root_dir": "s3://bucket/runs"}, "local folder"),
        ({"strategy": "deepspeed"}, "fsdp"),
        ({"val_check_interval": 0}, "val_check_interval=0 "),
        ({"gradient_clip_val": -1.0}, "gradient_clip_val=-1.0"),
        ({"accumulate_grad_batches": None}, "accumulate_grad_batches=None"),
        ({"min_epochs": "1"}, "min_epochs='1'"),
        ({"min_steps": -1}, "min_steps=-1"),
        ({"num_sanity_val_steps": -2}, "num_sanity_val_steps=-2"),
        ({"num_sanity_val_steps": "2"}, "num_sanity_val_steps='2'"),
        ({"fast_dev_run": "yes"}, "fast_dev_run='yes'"),
        ({"fast_dev_run": 1.5}, "fast_dev_run=1.5"),
        ({"callbacks": EarlyStopping}, "callbacks=.*EarlyStopping"),
        ({"callbacks": [EarlyStopping]}, "callbacks=.*EarlyStopping"),
        ({"logger": "csv"}, "logger='csv'"),
        ({"logger": [CSVLogger]}, "logger=.*CSVLogger"),
    ],
)
def test_an_argument_that_cannot_work_is_refused_in_one_sentence(arguments, says):
    with pytest.raises(L.MisconfigurationError, match=says) as refusal:
        L.Trainer(**{**QUIET, "max_epochs": 1, **arguments})
    assert ONE_SENTENCE.fullmatch(str(refusal.value))


@pytest.mark.parametrize(
    ("callback", "argument"),
    [
        (ModelCheckpoint, "enable_checkpointing"),
        (ProgressBar, "enable_progress_bar"),
    ],
)
def test_a_callback_that_is_switched_off_is_refused(callback, argument):
    arguments = {**QUIET, "max_epochs": 1, argument: False}
    with pytest.raises(L.MisconfigurationError, match=argument):
        L.Trainer(**arguments, callbacks=[callback()])


def test_two_callbacks_of_one_state_key_are_refused():
    with pytest.raises(L.MisconfigurationError, match="EarlyStopping"):
        L.Trainer(
            **QUIET, max_epochs=1, callbacks=[EarlyStopping("a"), EarlyStopping("a")]
        )


def without(base, *names):
    """A model class that lacks some of its base's methods."""
    kept = {k: v for k, v in vars(base).items() if k not in names}
    return type("Partial", (L.LightningModule,), kept)


@pytest.mark.parametrize(
    ("missing", "door", "says"),
    [
        ("training_step", "fit", "no training_step"),
        ("configure_optimizers", "fit", "no configure_optimizers"),
        ("train_dataloader", "fit", "no train_dataloader"),
        ("validation_step", "validate", "no validation_step"),
        ("val_dataloader", "validate", "no val_dataloader"),
        ("test_step", "test", "no test_step"),
        ("test_dataloader", "test", "no test_dataloader"),
        ("predict_step", "predict", "no predict_step and no forward"),
        ("predict_dataloader", "predict", "no predict_dataloader"),
    ],
)
def test_what_a_module_lacks_is_named(missing, door, says, make_trainer, tmp_path):
    calls = []

    class Whole(L.LightningModule):
        def setup(self, stage):
            calls.append(stage)

        def __init__(self):
            L.LightningModule.__init__(self)
            self.layer = nn.Linear(2, 1)

        def training_step(self, batch, batch_idx):
            return self.layer(batch[0]).mean()

        def validation_step(self, batch, batch_idx):
            return None

        test_step = validation_step

        def predict_step(self, batch, batch_idx):
            return None

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

        def train_dataloader(self):
            return loader()

        val_dataloader = test_dataloader = predict_dataloader = train_dataloader

    trainer = make_trainer(max_epochs=1)
    with pytest.raises(L.MisconfigurationError, match=says) as refusal:
        getattr(trainer, door)(without(Whole, missing)())
    assert ONE_SENTENCE.fullmatch(str(refusal.value))
    assert "dataloader" in missing or calls == []  # before anything is set up


@pytest.mark.parametrize("door", ["fit", "validate", "test", "predict"])
def test_loaders_beside_a_data_module_are_refused(door, net, make_trainer):
    with pytest.raises(L.MisconfigurationError, match="one of the two"):
        getattr(make_trainer(max_epochs=1), door)(net(), loader(), datamodule=Data())


@pytest.mark.parametrize("stage", ["training", "validation", "test"])
def test_the_epoch_end_hooks_of_lightning_1_are_refused(stage, net, make_trainer):
    model = type("Old", (net,), {f"{stage}_epoch_end": lambda self, outputs: None})()
    with pytest.raises(L.MisconfigurationError, match="rename it to on_"):
        make_trainer(max_epochs=1).fit(model)


def test_a_step_that_takes_the_iterator_is_refused(net, make_trainer):
    class Iterating(net):
        def training_step(self, dataloader_iter):
            return None

    with pytest.raises(L.MisconfigurationError, match="dataloader_iter"):
        make_trainer(max_epochs=1).fit(Iterating())


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("validation_step", "a val_dataloader and no validation_step"),
        ("val_dataloader", "a validation_step and no val_dataloader"),
    ],
)
def test_half_a_validation_is_told(missing, says, net, make_trainer):
    model = net()
    setattr(model, missing, None)
    with pytest.warns(UserWarning, match=says):
        make_trainer(max_epochs=1).fit(model)


def test_two_progress_bars_are_refused():
    arguments = {**QUIET, "enable_progress_bar": True, "max_epochs": 1}
    with pytest.raises(L.MisconfigurationError, match="two progress bars"):
        L.Trainer(**arguments, callbacks=[ProgressBar(), RichProgressBar()])


@pytest.mark.parametrize("door", ["validate", "test", "predict"])
def test_a_door_without_a_module_is_refused(door, make_trainer):
    with pytest.raises(L.MisconfigurationError, match="needs a module"):
        getattr(make_trainer(), door)()


def test_a_module_of_torch_is_refused_by_name(make_trainer):
    with pytest.raises(TypeError, match="Linear"):
        make_trainer(max_epochs=1).fit(nn.Linear(1, 1))


@pytest.mark.parametrize("given", [loader(), Data])
def test_what_is_no_data_module_is_refused_by_name(given, net, make_trainer):
    with pytest.raises(TypeError, match=r"DataModule.*and got a (DataLoader|type):"):
        make_trainer(max_epochs=1).fit(net(), datamodule=given)


def test_another_number_of_schedulers_is_refused(net, make_trainer, tmp_path):
    class Scheduled(net):
        def configure_optimizers(self):
            optimizer = super().configure_optimizers()
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    trainer = make_trainer(max_epochs=1)
    trainer.fit(net())
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    with pytest.raises(L.CheckpointError, match="0 schedulers, and this module has 1"):
        make_trainer(max_epochs=2).fit(Scheduled(), ckpt_path=tmp_path / "x.ckpt")


@pytest.mark.parametrize("path", ["nowhere.ckpt", "best", "last"])
def test_a_checkpoint_that_is_not_there_is_named(path, net, make_trainer):
    with pytest.raises(L.CheckpointError, match=path):
        make_trainer(max_epochs=1).fit(net(), ckpt_path=path)


def test_saving_before_there_is_anything_to_save_is_refused(make_trainer, tmp_path):
    with pytest.raises(L.MisconfigurationError, match="nothing to save"):
        make_trainer().save_checkpoint(tmp_path / "x.ckpt")


def test_a_hand_made_checkpoint_has_the_documented_content(net, make_trainer, tmp_path):
    trainer = make_trainer(max_epochs=2)
    trainer.fit(net())
    trainer.save_checkpoint(tmp_path / "whole.ckpt")
    trainer.save_checkpoint(tmp_path / "weights.ckpt", weights_only=True)
    whole = torch.load(tmp_path / "whole.ckpt", weights_only=True)
    weights = torch.load(tmp_path / "weights.ckpt", weights_only=True)
    assert (whole["epoch"], whole["global_step"]) == (2, 8)
    training = {"callbacks", "optimizer_states", "lr_schedulers"}
    assert training < set(whole)
    assert not training & set(weights)
    assert set(whole["state_dict"]) == {"layer.weight", "layer.bias"}


def test_weights_alone_cannot_be_trained_on(net, make_trainer, tmp_path):
    trainer = make_trainer(max_epochs=1)
    trainer.fit(net())
    trainer.save_checkpoint(tmp_path / "weights.ckpt", weights_only=True)
    with pytest.raises(L.CheckpointError, match="weights only"):
        make_trainer(max_epochs=2).fit(net(), ckpt_path=tmp_path / "weights.ckpt")


def test_a_file_without_weights_is_no_checkpoint(net, make_trainer, tmp_path):
    torch.save({"epoch": 1}, tmp_path / "x.ckpt")
    with pytest.raises(L.CheckpointError, match="holds no 'state_dict'"):
        type(net()).load_from_checkpoint(tmp_path / "x.ckpt")
    with pytest.raises(L.CheckpointError, match="holds no 'state_dict'"):
        make_trainer().validate(net(), ckpt_path=tmp_path / "x.ckpt")


def test_a_checkpoint_beyond_max_epochs_is_refused(net, make_trainer, tmp_path):
    trainer = make_trainer(max_epochs=3)
    trainer.fit(net())
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    with pytest.raises(L.CheckpointError, match="raise max_epochs"):
        make_trainer(max_epochs=2).fit(net(), ckpt_path=tmp_path / "x.ckpt")


def test_another_models_checkpoint_is_refused_with_both_shapes(
    net, make_trainer, tmp_path
):
    class Wider(net):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 1)

    trainer = make_trainer(max_epochs=1)
    trainer.fit(net())
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    with pytest.raises(L.CheckpointError, match=r"\(1, 2\).*\(1, 3\)"):
        make_trainer().validate(
            Wider(), DataLoader(TensorDataset(torch.ones(1, 3))), tmp_path / "x.ckpt"
        )


def test_the_refusal_of_another_models_checkpoint_names_its_run_s_config(
    net, make_trainer, tmp_path
):
    class Wider(net):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 1)

    path, config = tmp_path / "checkpoints" / "x.ckpt", tmp_path / "config.yaml"
    trainer = make_trainer(max_epochs=1)
    trainer.fit(net())
    trainer.save_checkpoint(path)
    with pytest.raises(L.CheckpointError, match="with --config and its run's config"):
        Wider.load_from_checkpoint(path)
    config.touch()
    with pytest.raises(L.CheckpointError, match=re.escape(f"--config {config}.")):
        Wider.load_from_checkpoint(path)


def test_a_logger_may_be_set_after_the_trainer_is_made(tmp_path):
    trainer = L.Trainer(**QUIET, max_epochs=1)
    trainer.logger = logger = CSVLogger(tmp_path)
    assert (trainer.logger, trainer.loggers) == (logger, [logger])
    trainer.logger = None
    assert (trainer.logger, trainer.loggers) == (None, [])


@pytest.mark.parametrize("given", [3, L.LightningDataModule, nn.Linear(1, 1)])
def test_what_is_no_data_module_is_refused(given, net, make_trainer):
    with pytest.raises(TypeError, match=r"takes a DataModule \(LightningDataModule\)"):
        make_trainer(max_epochs=1).fit(net(), datamodule=given)


@pytest.mark.parametrize("limit", [np.int64(2), np.float64(0.5)])
def test_a_limit_may_be_a_number_of_numpy(limit, net, make_trainer):
    trainer = make_trainer(max_epochs=1, limit_train_batches=limit)
    trainer.fit(net())
    assert trainer.global_step == 2


def test_a_summary_of_ones_own_needs_no_flag():
    summary = ModelSummary(max_depth=2)
    trainer = L.Trainer(**{**QUIET, "max_epochs": 1}, callbacks=summary)
    assert summary in trainer.callbacks
