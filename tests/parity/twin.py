"""One scenario under Lightning and under ours, and everything that can be seen of it.

The model draws no random numbers and its data are distinct samples in a fixed order, so
that whatever differs differs by the trainer.
"""

import contextlib
import io
import logging
import math
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import scaffold_runtime
import scaffold_runtime.callbacks
import scaffold_runtime.loggers

FRAMEWORKS = {"lightning": lightning, "ours": scaffold_runtime}

MODULE_HOOKS = [
    *("prepare_data", "setup", "teardown", "configure_callbacks", "configure_model"),
    *("configure_optimizers", "train_dataloader", "val_dataloader"),
    *("test_dataloader", "predict_dataloader"),
    *("on_before_batch_transfer", "transfer_batch_to_device"),
    *("on_after_batch_transfer", "on_fit_start", "on_fit_end"),
    *("on_train_start", "on_train_end", "on_train_epoch_start", "on_train_epoch_end"),
    *("on_train_batch_start", "on_train_batch_end", "training_step"),
    *("on_before_zero_grad", "on_before_backward", "on_after_backward"),
    *("on_before_optimizer_step", "optimizer_zero_grad", "backward"),
    *("configure_gradient_clipping", "lr_scheduler_step"),
    *("on_validation_start", "on_validation_end", "on_validation_epoch_start"),
    *("on_validation_epoch_end", "on_validation_batch_start"),
    *("on_validation_batch_end", "validation_step"),
    *("on_validation_model_zero_grad", "on_validation_model_eval"),
    *("on_validation_model_train", "on_test_start", "on_test_end"),
    *("on_test_epoch_start", "on_test_epoch_end", "on_test_batch_start"),
    *("on_test_batch_end", "test_step", "on_test_model_eval", "on_test_model_train"),
    *("on_predict_start", "on_predict_end", "on_predict_epoch_start"),
    *("on_predict_epoch_end", "on_predict_batch_start", "on_predict_batch_end"),
    *("predict_step", "on_predict_model_eval"),
    *("on_load_checkpoint", "on_save_checkpoint"),
]
CALLBACK_HOOKS = [
    *("setup", "teardown", "on_fit_start", "on_fit_end", "on_sanity_check_start"),
    *("on_sanity_check_end", "on_train_start", "on_train_end"),
    *("on_train_epoch_start", "on_train_epoch_end", "on_train_batch_start"),
    *("on_train_batch_end", "on_before_zero_grad", "on_before_backward"),
    *("on_after_backward", "on_before_optimizer_step", "on_validation_start"),
    *("on_validation_end", "on_validation_epoch_start", "on_validation_epoch_end"),
    *("on_validation_batch_start", "on_validation_batch_end", "on_test_start"),
    *("on_test_end", "on_test_epoch_start", "on_test_epoch_end"),
    *("on_test_batch_start", "on_test_batch_end", "on_predict_start"),
    *("on_predict_end", "on_predict_epoch_start", "on_predict_epoch_end"),
    *("on_predict_batch_start", "on_predict_batch_end"),
    *("on_save_checkpoint", "on_load_checkpoint"),
]


@dataclass(frozen=True)
class Scenario:
    """A run, without the name of the framework.

    Attributes:
        trainer: the Trainer's arguments.
        entry_points: `fit`, `validate`, `test` and `predict`, in the order they are called.
        samples: of the training data; validation has seven less, at least one.
        batch_size: of every loader.
        val_loaders: how many there are; none leaves out validation.
        scheduler: a scheduler's arguments under its class' name, beside `interval` and
            `frequency`; None has none.
        log: arguments of `self.log` in `training_step`.
        val_log: arguments of `self.log` in `validation_step`.
        metrics: what is logged as `val_metric`, one value a validation, then the last.
        returns: what `training_step` returns: `tensor`, `dict`, or `none` at every third.
        skips: the batch at which `on_train_batch_start` returns -1.
        stops: the batch (counted over epochs) at which `should_stop` is set.
        own_step: the module overrides `optimizer_step`.
        watches: the module overrides every hook, to note it; otherwise only the callback
            does, and the step takes the short way.
        manual: two optimizers, stepped by the module.
        streams: the training data has no length.
        optimizer: a name in `torch.optim`.
        checkpoint: arguments of ModelCheckpoint; None has no such callback.
        early_stopping: arguments of EarlyStopping.
        lr_monitor: arguments of LearningRateMonitor.
        resumes: `fit` goes on in a new trainer from the newest file, with these arguments.
    """

    trainer: dict[str, Any] = field(default_factory=dict)
    entry_points: tuple[str, ...] = ("fit",)
    samples: int = 10
    batch_size: int = 2
    val_loaders: int = 1
    scheduler: dict[str, Any] | None = None
    log: dict[str, Any] = field(default_factory=dict)
    val_log: dict[str, Any] = field(default_factory=dict)
    metrics: tuple[float, ...] = ()
    returns: str = "tensor"
    skips: int | None = None
    stops: int | None = None
    own_step: bool = False
    watches: bool = True
    manual: bool = False
    streams: bool = False
    optimizer: str = "SGD"
    checkpoint: dict[str, Any] | None = None
    early_stopping: dict[str, Any] | None = None
    lr_monitor: dict[str, Any] | None = None
    resumes: dict[str, Any] | None = None


@dataclass
class Record:
    """What a run shows.

    Attributes:
        hooks: every hook call, with the run's counters at that moment.
        losses: of every training step, as the bits of a float.
        outputs: what `on_train_batch_end` gets, likewise.
        rates: learning rate of every training step.
        lines: what each logger line holds: (metrics, step).
        metrics: `callback_metrics` at the hooks where callbacks read them, and at the end.
        files: checkpoint files at the end.
        best: what ModelCheckpoint thinks of them.
        stopped: EarlyStopping's epoch and count.
        results: what the entry points returned.
        counters: the trainer's state at the end.
        weights: all weights at the end, as bits.
        error: the kind of exception that ended the run.
        message: its words, which are each framework's own.
    """

    hooks: list[Any] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    lines: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    best: list[Any] = field(default_factory=list)
    stopped: list[Any] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)
    counters: dict[str, Any] = field(default_factory=dict)
    weights: list[str] = field(default_factory=list)
    error: str = ""
    message: str = ""


def bits(value: float) -> str:
    """A float as its exact digits, NaN included."""
    return "nan" if math.isnan(value) else float(value).hex()


def plain(metrics: Any) -> dict[str, str]:
    """Metrics as exact digits, without what Lightning keeps for its profiler."""
    return {name: bits(float(value)) for name, value in sorted(metrics.items())}


def loader(samples: int, batch_size: int, offset: float = 0.0) -> DataLoader:
    """Distinct samples in a fixed order."""
    x = torch.sin(torch.arange(samples * 3, dtype=torch.float32) + offset)
    x = x.reshape(samples, 3)
    y = torch.cos(x.sum(1, keepdim=True))
    return DataLoader(TensorDataset(x, y), batch_size=batch_size, shuffle=False)


class Stream(IterableDataset):
    """Samples that nobody has counted."""

    def __init__(self, samples: TensorDataset) -> None:
        self.samples = samples

    def __iter__(self) -> Any:
        return iter([self.samples[index] for index in range(len(self.samples))])


def _recording(base: type, who: str, hooks: list[str], record: Record) -> type:
    """A subclass of a module's or callback's class that notes every hook."""

    def noting(name: str):
        inner = getattr(base, name)

        def hook(self, *args, **kwargs):
            trainer = self._attached if who == "module" else args[0]
            record.hooks.append((who, name, *_moment(trainer)))
            if name == "on_train_batch_end":
                outputs = args[0 if who == "module" else 2] or {}
                record.outputs += [bits(loss) for loss in outputs.values()]
            reads = ("on_train_batch_end", "on_validation_end", "on_train_epoch_end")
            if name in reads and not trainer.sanity_checking:
                record.metrics.append((who, name, plain(trainer.callback_metrics)))
            return inner(self, *args, **kwargs)

        return hook

    return type(base.__name__, (base,), {name: noting(name) for name in hooks})


def _moment(trainer: Any) -> tuple[Any, ...]:
    """The counters and flags that hooks may look at."""
    if trainer is None:
        return ()
    module = trainer.lightning_module
    return (
        trainer.current_epoch,
        trainer.global_step,
        trainer.training,
        trainer.validating,
        trainer.testing,
        trainer.predicting,
        trainer.sanity_checking,
        trainer.should_stop,
        module is not None and module.training,
    )


def _module_class(L: Any, scenario: Scenario, record: Record) -> type:
    class Net(L.LightningModule):
        def __init__(self):
            super().__init__()
            self._attached = None
            self.network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
            with torch.no_grad():
                for parameter in self.parameters():
                    count = torch.arange(parameter.numel(), dtype=torch.float32)
                    parameter.copy_(torch.sin(count + 1).reshape(parameter.shape))
            self.validations = self.batches = 0

        def forward(self, x):
            return self.network(x)

        def training_step(self, batch, batch_idx):
            x, y = batch
            loss = nn.functional.mse_loss(self(x), y)
            record.losses.append(bits(loss.item()))
            optimizer = self.trainer.optimizers[0]
            record.rates.append(optimizer.param_groups[0]["lr"])
            self.log("loss", loss, **scenario.log)
            self.log("size", float(len(x)), on_step=False, on_epoch=True)
            self.log("most", x.max(), on_epoch=True, reduce_fx="max")
            self.batches += 1
            if self.batches == scenario.stops:
                self.trainer.should_stop = True
            if scenario.returns == "none" and batch_idx % 3 == 2:
                return None
            return {"loss": loss} if scenario.returns == "dict" else loss

        def on_train_batch_start(self, batch, batch_idx):
            return -1 if batch_idx == scenario.skips else None

        def on_train_start(self):
            self.log("start", 5.0)

        def on_train_epoch_end(self):
            self.log("epoch_value", float(self.trainer.current_epoch))

        def configure_optimizers(self):
            kind = getattr(torch.optim, scenario.optimizer)
            # With more, LBFGS diverges, which ends our run and not Lightning's.
            rate = 0.01 if kind is torch.optim.LBFGS else 0.1
            optimizer = kind(self.parameters(), lr=rate)
            if scenario.scheduler is None:
                return optimizer
            given = dict(scenario.scheduler)
            name = next(key for key in given if key[0].isupper())
            kind = getattr(torch.optim.lr_scheduler, name)
            config = {"scheduler": kind(optimizer, **given.pop(name)), **given}
            return {"optimizer": optimizer, "lr_scheduler": config}

        def train_dataloader(self):
            sized = loader(scenario.samples, scenario.batch_size)
            if not scenario.streams:
                return sized
            return DataLoader(Stream(sized.dataset), batch_size=scenario.batch_size)

        def test_step(self, batch, batch_idx):
            self.log("test_loss", nn.functional.mse_loss(self(batch[0]), batch[1]))

        def test_dataloader(self):
            return loader(5, scenario.batch_size, 2.0)

        def predict_step(self, batch, batch_idx):
            return self(batch[0])

        predict_dataloader = test_dataloader

        if scenario.own_step:

            def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
                record.hooks.append(("module", "optimizer_step"))
                optimizer.step(closure=optimizer_closure)

    if scenario.val_loaders:
        _add_validation(Net, scenario)
    if scenario.manual:
        _optimize_by_hand(Net, record)
    if not scenario.watches:
        return Net
    hooks = [name for name in MODULE_HOOKS if hasattr(Net, name)]
    if not scenario.val_loaders:
        hooks = [h for h in hooks if h not in ("validation_step", "val_dataloader")]
    return _recording(Net, "module", hooks, record)


def _optimize_by_hand(net: type, record: Record) -> None:
    def training_step(self, batch, batch_idx):
        x, y = batch
        for optimizer in self.optimizers():
            self.toggle_optimizer(optimizer)
            loss = nn.functional.mse_loss(self(x), y)
            record.losses.append(bits(loss.item()))
            optimizer.zero_grad()
            self.manual_backward(loss)
            self.clip_gradients(optimizer, 0.5, "norm")
            optimizer.step()
            self.untoggle_optimizer(optimizer)
        self.log("loss", loss)
        if batch_idx % 2:
            for scheduler in self.lr_schedulers():
                scheduler.step()
        record.rates.append(self.optimizers()[0].param_groups[0]["lr"])

    def configure_optimizers(self):
        halves = (self.network[0], self.network[2])
        optimizers = [torch.optim.Adam(half.parameters(), lr=0.05) for half in halves]
        schedule = torch.optim.lr_scheduler.ExponentialLR
        return optimizers, [schedule(optimizer, 0.9) for optimizer in optimizers]

    net.automatic_optimization = property(lambda self: False, lambda self, value: None)
    net.training_step = training_step
    net.configure_optimizers = configure_optimizers


def _add_validation(net: type, scenario: Scenario) -> None:
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        x, y = batch
        loss = nn.functional.mse_loss(self(x), y)
        self.log("val_loss", loss, **scenario.val_log)
        if scenario.metrics and dataloader_idx == 0:
            last = len(scenario.metrics) - 1
            value = scenario.metrics[min(self.validations, last)]
            self.log("val_metric", value, add_dataloader_idx=False)

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            self.validations += 1
            self.log("validations", float(self.validations))

    def val_dataloader(self):
        size = max(scenario.samples - 7, 1)
        loaders = [
            loader(size + index, scenario.batch_size, 1.0 + index)
            for index in range(scenario.val_loaders)
        ]
        return loaders if len(loaders) > 1 else loaders[0]

    net.validation_step = validation_step
    net.on_validation_epoch_end = on_validation_epoch_end
    net.val_dataloader = val_dataloader


def _logger(L: Any, record: Record) -> Any:
    module = lightning.pytorch.loggers.logger if L is lightning else L.loggers

    class Lines(module.Logger):
        name = "lines"
        version = 0

        def log_metrics(self, metrics, step=None):
            record.lines.append((plain(metrics), step))

        def log_hyperparams(self, params, *args, **kwargs):
            pass

    return Lines()


def _callbacks(L: Any, scenario: Scenario, record: Record, folder: Path) -> list[Any]:
    found = L.pytorch.callbacks if L is lightning else L.callbacks
    kinds = [_recording(L.Callback, "callback", CALLBACK_HOOKS, record)()]
    if scenario.early_stopping is not None:
        kinds.append(found.EarlyStopping(**scenario.early_stopping))
    if scenario.lr_monitor is not None:
        kinds.append(found.LearningRateMonitor(**scenario.lr_monitor))
    if scenario.checkpoint is not None:
        arguments = {"dirpath": folder / "checkpoints", **scenario.checkpoint}
        kinds.append(found.ModelCheckpoint(**arguments))
    return kinds


def _trainer(
    L: Any, scenario: Scenario, record: Record, folder: Path, more: dict[str, Any]
) -> Any:
    arguments = {"max_epochs": 2, "logger": _logger(L, record), **scenario.trainer}
    return L.Trainer(
        accelerator="cpu",
        devices=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=scenario.checkpoint is not None,
        default_root_dir=folder,
        callbacks=_callbacks(L, scenario, record, folder),
        **{**arguments, **more},
    )


@contextlib.contextmanager
def _silence() -> Any:
    """Neither framework says anything."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def run(framework: str, scenario: Scenario, folder: Path) -> Record:
    """Run a scenario under one framework, in an empty folder."""
    L, record = FRAMEWORKS[framework], Record()
    with _silence():
        try:
            _run(L, scenario, record, folder)
        except (Exception, SystemExit) as error:
            record.error = kind_of(error)
            record.message = str(error)
            if record.error.startswith("bug"):
                raise
    return record


def kind_of(error: BaseException) -> str:
    """A mistake of the user's, whoever refuses it; anything else keeps its name."""
    refusals = (
        scaffold_runtime.UserError,
        lightning.pytorch.utilities.exceptions.MisconfigurationException,
        ValueError,
        RuntimeError,
    )
    return "refused" if isinstance(error, refusals) else f"bug: {error!r}"


def _run(L: Any, scenario: Scenario, record: Record, folder: Path) -> None:
    trainer = _trainer(L, scenario, record, folder, {})
    model = _module_class(L, scenario, record)()
    model._attached = trainer
    for entry_point in scenario.entry_points:
        returned = getattr(trainer, entry_point)(model)
        record.results.append(_flat(returned))
    if scenario.resumes is not None:
        saved = _newest(folder)
        record.hooks.append("resume")
        trainer = _trainer(L, scenario, record, folder, scenario.resumes)
        model = _module_class(L, scenario, record)()
        model._attached = trainer
        trainer.fit(model, ckpt_path=saved)
    _look_at(trainer, model, record, folder)


def _newest(folder: Path) -> Path:
    files = (folder / "checkpoints").glob("*.ckpt")
    return max(files, key=lambda file: file.stat().st_mtime_ns)


def _flat(returned: Any) -> Any:
    if isinstance(returned, dict):
        return plain(returned)
    if isinstance(returned, list):
        return [_flat(item) for item in returned]
    if isinstance(returned, torch.Tensor):
        return [bits(number) for number in returned.flatten().tolist()]
    return returned


def _look_at(trainer: Any, model: Any, record: Record, folder: Path) -> None:
    """The state that a run leaves behind."""
    record.files = sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*.ckpt")
    )
    for callback in trainer.checkpoint_callbacks:
        score = callback.best_model_score
        best = Path(callback.best_model_path)
        record.best.append(
            (
                best.name,
                None if score is None else bits(float(score)),
                sorted(Path(path).name for path in callback.best_k_models),
                Path(callback.last_model_path).name,
            )
        )
    for callback in trainer.early_stopping_callbacks:
        best = bits(float(callback.best_score))
        record.stopped.append((callback.stopped_epoch, callback.wait_count, best))
    record.counters = {
        "current_epoch": trainer.current_epoch,
        "global_step": trainer.global_step,
        "should_stop": trainer.should_stop,
        "num_training_batches": trainer.num_training_batches,
        "status": trainer.state.status.value,
        "callback_metrics": plain(trainer.callback_metrics),
        "logged_metrics": plain(trainer.logged_metrics),
        "progress_bar_metrics": plain(trainer.progress_bar_metrics),
    }
    record.weights = [bits(n) for p in model.parameters() for n in p.flatten().tolist()]
