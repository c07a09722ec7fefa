"""`Trainer`: fit, validate, test and predict, on any device, alone or with others."""

from __future__ import annotations

import math
import numbers
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch.optim import Optimizer

from scaffold_runtime.callback import Callback
from scaffold_runtime.callbacks import (
    Checkpoint,
    EarlyStopping,
    ModelCheckpoint,
    ModelSummary,
    ProgressBar,
    RichProgressBar,
    Timer,
)
from scaffold_runtime.callbacks.timer import in_seconds
from scaffold_runtime.checkpoint import (
    BackgroundWriter,
    copy_to_cpu,
    refuse_pickles,
    write_checkpoint,
)
from scaffold_runtime.data import DataModule
from scaffold_runtime.engine import Engine
from scaffold_runtime.errors import MisconfigurationError, WrongTypeError
from scaffold_runtime.launch import rank_zero_info, rank_zero_warn
from scaffold_runtime.loader import EpochLoader
from scaffold_runtime.loggers import CSVLogger, DummyLogger, Logger
from scaffold_runtime.loops import evaluation, loading, resume, training
from scaffold_runtime.loops.finite import DelayedVerdict, check_loss, settle
from scaffold_runtime.loops.hooks import Hooks, is_overridden
from scaffold_runtime.loops.run import running
from scaffold_runtime.loops.step_plan import StepPlan
from scaffold_runtime.metrics import MetricRecorder, Metrics
from scaffold_runtime.module import Module
from scaffold_runtime.optimization import ManagedOptimizer, SchedulerConfig
from scaffold_runtime.precision import default_dtype
from scaffold_runtime.profilers import Profiler, make_profiler
from scaffold_runtime.progress import FitProgress, TrainerFn, TrainerState
from scaffold_runtime.run_folder import RunLock
from scaffold_runtime.stops import StopSignals
from scaffold_runtime.strategies import Strategy

DEFAULT_EPOCHS = 1000
LOG_FOLDER = "lightning_logs"


def _in_stage(doc: str, *stages: str) -> Any:
    """A property that says whether one of the stages runs now."""
    return property(lambda self: self.state.stage in stages, doc=doc)


def _callbacks_of(kind: type[Callback]) -> tuple[Any, Any]:
    """All callbacks of a kind, and the first of them, None without one."""

    def every(trainer: Trainer) -> list[Any]:
        """All callbacks of this kind."""
        return [own for own in trainer.callbacks if isinstance(own, kind)]

    def first(trainer: Trainer) -> Any:
        """The first callback of this kind, None without one."""
        return next(iter(every(trainer)), None)

    return property(every), property(first)


class Trainer:
    """Runs a module's training, validation, test and prediction.

    Args:
        accelerator: `auto`, `cpu`, `gpu`, `cuda` or `mps`.
        strategy: `auto`, `ddp`, `fsdp`, or a strategy of `scaffold_runtime.strategies`.
        devices: processes on this machine: a number, -1, a list of indices, `auto`.
        num_nodes: number of machines.
        precision: `32-true`, `bf16-mixed`, `16-mixed`, `bf16-true`, `16-true`, `64-true`.
        logger: a logger or several; True is a `CSVLogger`, False none.
        callbacks: a callback or several.
        fast_dev_run: run so many batches of everything (True: one) to find mistakes.
        max_epochs: stop after so many epochs; -1 never, None 1000 unless `max_steps` is set.
        min_epochs: train at least so many.
        max_steps: stop after so many optimizer steps; -1 never.
        min_steps: train at least so many.
        max_time: stop after a `timedelta`, `DD:HH:MM:SS`, or keyword arguments of one.
        limit_train_batches: batches of an epoch, as a number or a share.
        limit_val_batches: the same for validation.
        limit_test_batches: the same for test.
        limit_predict_batches: the same for prediction.
        overfit_batches: train and validate on so many batches, always the same ones.
        val_check_interval: validate every so many batches, every share of an epoch, or
            whenever so much time has passed, given as for `max_time`.
        check_val_every_n_epoch: validate in every n-th epoch; None counts batches only.
        num_sanity_val_steps: validation batches before training; -1 all.
        log_every_n_steps: steps between two log lines; 0 logs epochs only.
        enable_checkpointing: add a `ModelCheckpoint` where none is given.
        enable_progress_bar: add a progress bar where none is given.
        enable_model_summary: print the model's layers before training.
        accumulate_grad_batches: batches whose gradients are summed before a step.
        gradient_clip_val: largest gradient norm or value.
        gradient_clip_algorithm: `norm` (default) or `value`.
        deterministic: use deterministic algorithms, or fail; `warn` warns.
        benchmark: let cuDNN look for the fastest algorithm.
        inference_mode: evaluate under `torch.inference_mode` rather than `no_grad`.
        use_distributed_sampler: deal samples out to ranks.
        profiler: `simple`, `advanced`, `pytorch`, or one of `scaffold_runtime.profilers`.
        detect_anomaly: let autograd name the operation that made a NaN; slow.
        barebones: turn everything off that is not the loop, to measure it.
        plugins: refused; what they change is said by `precision` and `strategy`.
        sync_batchnorm: normalise by the statistics of all ranks' batches together.
        reload_dataloaders_every_n_epochs: ask for loaders anew every so many epochs.
        default_root_dir: folder for logs and checkpoints.
        enable_autolog_hparams: send saved hyperparameters to the loggers.
        model_registry: refused; load checkpoints by their path.
        check_finite: stop before a step whose loss, or gradient norm where it is computed,
            is not finite; `"grad"` computes the norm for it.
        on_nonfinite: `stop`, or `skip` the step on all ranks.

    Attributes:
        engine: device, precision and distribution.
        loggers: every logger.
        global_rank: index of this process among all; `local_rank` on its machine.
        world_size: number of processes; `num_devices` on this machine.
        val_dataloaders, test_dataloaders, predict_dataloaders: the loaders as this rank uses
            them, alone or in a collection like that which was given.
        should_stop: set it to end the fit after this batch.

    Raises:
        MisconfigurationError: an argument cannot work, alone or with the others.
    """

    def __init__(
        self,
        *,
        accelerator: str = "auto",
        strategy: Strategy | str = "auto",
        devices: list[int] | int | str = "auto",
        num_nodes: int = 1,
        precision: str | int | None = None,
        logger: Logger | Iterable[Logger] | bool | None = None,
        callbacks: list[Callback] | Callback | None = None,
        fast_dev_run: int | bool = False,
        max_epochs: int | None = None,
        min_epochs: int | None = None,
        max_steps: int = -1,
        min_steps: int | None = None,
        max_time: str | timedelta | dict[str, int] | None = None,
        limit_train_batches: int | float | None = None,
        limit_val_batches: int | float | None = None,
        limit_test_batches: int | float | None = None,
        limit_predict_batches: int | float | None = None,
        overfit_batches: int | float = 0.0,
        val_check_interval: (
            int | float | str | timedelta | dict[str, int] | None
        ) = None,
        check_val_every_n_epoch: int | None = 1,
        num_sanity_val_steps: int | None = None,
        log_every_n_steps: int | None = None,
        enable_checkpointing: bool | None = None,
        enable_progress_bar: bool | None = None,
        enable_model_summary: bool | None = None,
        accumulate_grad_batches: int = 1,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
        deterministic: bool | Literal["warn"] | None = None,
        benchmark: bool | None = None,
        inference_mode: bool = True,
        use_distributed_sampler: bool = True,
        profiler: Profiler | str | None = None,
        detect_anomaly: bool = False,
        barebones: bool = False,
        plugins: None = None,
        sync_batchnorm: bool = False,
        reload_dataloaders_every_n_epochs: int = 0,
        default_root_dir: str | Path | None = None,
        enable_autolog_hparams: bool = True,
        model_registry: None = None,
        check_finite: bool | Literal["grad"] = True,
        on_nonfinite: Literal["stop", "skip"] = "stop",
    ) -> None:
        if barebones:
            given = locals()
            for name in _OFF_IN_BAREBONES:
                _refuse_if(given[name], f"barebones=True turns {name} off: drop one.")
            logger = enable_checkpointing = enable_progress_bar = False
            enable_model_summary = check_finite = False
            num_sanity_val_steps = log_every_n_steps = 0
        _refuse_if(plugins, "plugins=... is not supported: use precision or strategy.")
        _refuse_if(model_registry, "model_registry=... is not supported: use paths.")
        self.barebones = barebones
        self.default_root_dir = os.fspath(default_root_dir or os.getcwd())
        self.fast_dev_run: int = fast_dev_run
        self.max_epochs, self.min_epochs = max_epochs, min_epochs
        self._ends_by_time = max_time is not None
        self.max_steps = -1 if max_steps is None else max_steps
        self.min_steps = min_steps
        self.limit_train_batches = _or(limit_train_batches)
        self.limit_val_batches = _or(limit_val_batches)
        self.limit_test_batches = _or(limit_test_batches)
        self.limit_predict_batches = _or(limit_predict_batches)
        self.overfit_batches = overfit_batches
        self.val_check_interval = _time_or_batches(val_check_interval)
        self.check_val_every_n_epoch = check_val_every_n_epoch
        self.num_sanity_val_steps = _or(num_sanity_val_steps, 2)
        self.log_every_n_steps = 50 if log_every_n_steps is None else log_every_n_steps
        self.accumulate_grad_batches = accumulate_grad_batches
        self.gradient_clip_val = gradient_clip_val
        algorithm = gradient_clip_algorithm
        self.gradient_clip_algorithm = str(algorithm).lower() if algorithm else None
        self.inference_mode = inference_mode
        self.use_distributed_sampler = use_distributed_sampler
        self.profiler = make_profiler(profiler)
        self.detect_anomaly = detect_anomaly
        self.sync_batchnorm = sync_batchnorm
        self.reload_dataloaders_every_n_epochs = reload_dataloaders_every_n_epochs
        self.enable_autolog_hparams = enable_autolog_hparams
        self.check_finite, self.on_nonfinite = check_finite, on_nonfinite
        self.num_nodes = num_nodes
        self._check_arguments()
        self.engine = Engine(accelerator, strategy, devices, num_nodes, precision)
        self._take_place()
        self._apply_trial_run()
        _set_backends(deterministic, benchmark)
        self.loggers = self._make_loggers(logger)
        defaults = (
            (ProgressBar, RichProgressBar, "enable_progress_bar", enable_progress_bar),
            (ModelSummary, ModelSummary, "enable_model_summary", enable_model_summary),
            (Checkpoint, ModelCheckpoint, "enable_checkpointing", enable_checkpointing),
        )
        self.callbacks = self._make_callbacks(callbacks, max_time, defaults)
        self.start_afresh()

    # --- construction -----------------------------------------------------------------

    def _take_place(self) -> None:
        """What the engine knows, at hand for loops, modules and callbacks."""
        engine, place = self.engine, self.engine.place
        self.strategy, self.precision = engine.strategy, engine.precision.name
        self.world_size = engine.world_size
        self.distributed = engine.world_size > 1
        self.device_ids, self.num_devices = engine.device_ids, len(engine.device_ids)
        self.global_rank, self.local_rank = place.rank, place.local_rank
        self.node_rank, self.is_global_zero = place.node_rank, place.rank == 0

    def _check_arguments(self) -> None:
        """Refuse what is out of range, and what contradicts itself."""
        for name, allowed in _CHOICES.items():
            value, words = getattr(self, name), ", ".join(map(repr, allowed))
            _refuse_if(value not in allowed, f"{name}={value!r}: use one of {words}.")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            whole = isinstance(value, numbers.Integral) and int(value) >= least
            _refuse_if(
                not whole and not (value is None and name in _MAY_BE_NONE),
                f"{name}={value!r} must be a whole number from {least}.",
            )
        for name in _SHARES:
            value = getattr(self, name)
            share = isinstance(value, float) and 0.0 <= value <= 1.0
            count = isinstance(value, int) and value >= (name == "val_check_interval")
            _refuse_if(
                not (share or count or isinstance(value, timedelta)),
                f"{name}={value!r} must be a number of batches, or a share from 0.0 to 1.0.",
            )
        clip, interval = self.gradient_clip_val, self.val_check_interval
        _refuse_if(
            clip is not None and not (isinstance(clip, (int, float)) and clip >= 0),
            f"gradient_clip_val={clip!r} must be a number from 0.",
        )
        _refuse_if(
            "://" in self.default_root_dir,
            f"default_root_dir={self.default_root_dir!r} is no local folder: mount it.",
        )
        _refuse_if(
            self.check_val_every_n_epoch is None
            and not (isinstance(interval, (int, timedelta)) or interval == 1.0),
            "check_val_every_n_epoch=None counts batches across epochs, so"
            f" val_check_interval={interval} must be a whole number.",
        )

    def _apply_trial_run(self) -> None:
        """`fast_dev_run` and `overfit_batches` are settings of many arguments at once."""
        if self.num_sanity_val_steps == -1:
            self.num_sanity_val_steps = math.inf
        if batches := int(self.fast_dev_run):
            self.fast_dev_run = batches
            rank_zero_info(
                f"fast_dev_run: {batches} batch(es) of every stage, no logs, no checkpoints."
            )
            self.limit_train_batches = self.limit_val_batches = batches
            self.limit_test_batches = self.limit_predict_batches = batches
            self.max_steps, self.max_epochs, self.num_sanity_val_steps = batches, 1, 0
            self.val_check_interval, self.check_val_every_n_epoch = 1.0, 1
        if self.overfit_batches:
            self.limit_train_batches = self.limit_val_batches = self.overfit_batches

    def settle_epochs(self) -> None:
        """A fit begins: give the limits of epochs that were left open their defaults."""
        if self.min_epochs is None:
            self.min_epochs = 0 if self.min_steps is None else 1
        if self.max_epochs is None:
            has_end = self.max_steps != -1 or self._ends_by_time
            self.max_epochs = -1 if has_end else DEFAULT_EPOCHS
            if not has_end:
                rank_zero_warn(
                    f"max_epochs is not set: training runs for {DEFAULT_EPOCHS} epochs; -1"
                    " trains without an end."
                )

    def _make_loggers(
        self, given: Logger | Iterable[Logger] | bool | None
    ) -> list[Logger]:
        if given is None or given is True:
            given = CSVLogger(self.default_root_dir, name=LOG_FOLDER)
        loggers = _listed("logger", given or [], Logger)
        return [DummyLogger()] if loggers and self.fast_dev_run else loggers

    def _make_callbacks(
        self,
        given: list[Callback] | Callback | None,
        max_time: str | timedelta | dict[str, int] | None,
        defaults: Iterable[tuple[type, type[Callback], str, bool | None]],
    ) -> list[Callback]:
        """The user's callbacks, those that come by default, and the last ones last."""
        listed = _listed("callbacks", given or [], Callback)
        if max_time is not None and any(isinstance(cb, Timer) for cb in listed):
            rank_zero_warn("max_time is left out: a Timer is among the callbacks.")
        elif max_time is not None:
            listed.append(Timer(duration=max_time))
        for kind, default, argument, enabled in defaults:
            has_one = any(isinstance(callback, kind) for callback in listed)
            _refuse_if(
                kind in (ProgressBar, Checkpoint)
                and (has_one and enabled is False and not self.fast_dev_run),
                f"{argument}=False, and a {default.__name__} is among the callbacks.",
            )
            if not has_one and enabled is not False:
                listed.append(default())
        bars = [callback for callback in listed if isinstance(callback, ProgressBar)]
        _refuse_if(len(bars) > 1, "There are two progress bars: drop one of them.")
        stateful = (c for c in listed if is_overridden(c, "state_dict", Callback))
        for key, count in Counter(c.state_key for c in stateful).items():
            _refuse_if(
                count > 1,
                f"Two callbacks would keep their state under one name, {key}: give them"
                " different arguments, or override state_key.",
            )
        return sorted(listed, key=lambda callback: callback.runs_last is True)

    def start_afresh(self) -> None:
        """The state of a trainer that has not run."""
        self.state = TrainerState()
        self.progress = FitProgress()
        self.signals = StopSignals()
        self.lock = RunLock()
        self.should_stop = False
        self.module: Module = None  # type: ignore[assignment]
        self.datamodule: DataModule | None = None
        self.given_loaders: dict[str, Any] = {}
        self.hooks: Hooks = None  # type: ignore[assignment]
        self.plan: StepPlan = None  # type: ignore[assignment]
        self.transfer: Any = None
        self.optimizers: list[Optimizer] = []
        self.lr_scheduler_configs: list[SchedulerConfig] = []
        idle = MetricRecorder(training=False)
        self.recorder = self.train_recorder = self.eval_recorder = idle
        self.ckpt_path: str | None = None
        self.num_training_batches: int | float = math.inf
        self.num_test_batches: list[int | float] = []
        self.num_predict_batches: list[int | float] = []
        self.test_dataloaders: Any = None
        self.predict_dataloaders: Any = None
        self._kept = Metrics({}, {}, {})
        self.reset()

    def reset(self) -> None:
        """Every fit asks for its loaders anew, and knows of no batch before."""
        self.train_loader: EpochLoader = None  # type: ignore[assignment]
        self.eval_loaders: list[EpochLoader] = []
        self.val_dataloaders: Any = None
        self.num_val_batches: list[int | float] = []
        self.val_check_batch: int | float = math.inf
        self.loaded_train_at = 0
        self.loaded_val_at = -math.inf
        self.validated_at = 0.0
        self.enable_validation = self.is_last_batch = self.validation_due = False
        self.is_stepping, self.shows_epoch = True, False
        self.nonfinite = ""
        self.verdict: DelayedVerdict | None = None
        self.gradient_norm: torch.Tensor | None = None
        self.agreed_signal: int | None = None
        self._managed: list[ManagedOptimizer] = []
        self.resumed: dict[str, Any] | None = None
        self.rank_state: dict[str, Any] | None = None

    # --- entry points -----------------------------------------------------------------

    def fit(
        self,
        model: Module,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: DataModule | None = None,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Train.

        Args:
            model: the module to train.
            train_dataloaders: an iterable of batches, or a data module.
            val_dataloaders: an iterable of batches or a list of them.
            datamodule: a data module, in place of the loaders.
            ckpt_path: a checkpoint to go on from: a path, `last` or `best`.
            weights_only: False is refused: nothing in a checkpoint is executed.

        Raises:
            UserError: something cannot work; the message says what to do.
        """
        refuse_pickles(weights_only)
        if isinstance(train_dataloaders, DataModule):
            train_dataloaders, datamodule = None, train_dataloaders
        given = {"train": train_dataloaders, "validate": val_dataloaders}
        with running(self, TrainerFn.FITTING, model, given, datamodule, ckpt_path):
            training.fit(self)

    def validate(
        self,
        model: Module | None = None,
        dataloaders: Any = None,
        ckpt_path: str | Path | None = None,
        verbose: bool = True,
        datamodule: DataModule | None = None,
        weights_only: bool | None = None,
    ) -> list[dict[str, float]]:
        """Run the validation loaders once.

        Args:
            model: the module; without one, that of the last run.
            dataloaders: an iterable of batches, a list of them, or a data module.
            ckpt_path: a checkpoint whose weights to use: a path, `last` or `best`. Without
                model and path it is `best`.
            verbose: print the metrics.
            datamodule: a data module, in place of the loaders.
            weights_only: as for `fit`.

        Returns:
            The metrics of each loader.
        """
        refuse_pickles(weights_only)
        return self._evaluate(
            TrainerFn.VALIDATING, model, dataloaders, datamodule, ckpt_path, verbose
        )

    def test(
        self,
        model: Module | None = None,
        dataloaders: Any = None,
        ckpt_path: str | Path | None = None,
        verbose: bool = True,
        datamodule: DataModule | None = None,
        weights_only: bool | None = None,
    ) -> list[dict[str, float]]:
        """Run the test loaders once; arguments and result as for `validate`."""
        refuse_pickles(weights_only)
        return self._evaluate(
            TrainerFn.TESTING, model, dataloaders, datamodule, ckpt_path, verbose
        )

    def predict(
        self,
        model: Module | None = None,
        dataloaders: Any = None,
        datamodule: DataModule | None = None,
        return_predictions: bool | None = None,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
    ) -> list[Any] | None:
        """Predict every batch.

        Args:
            model: the module; without one, that of the last run.
            dataloaders: an iterable of batches, a list of them, or a data module.
            datamodule: a data module, in place of the loaders.
            return_predictions: False keeps nothing, for a callback that writes.
            ckpt_path: a checkpoint whose weights to use; without model and path `best`.
            weights_only: as for `fit`.

        Returns:
            What `predict_step` returned for each batch, on the CPU; a list of such lists
            for several loaders; None with `return_predictions=False`, or without batches.
        """
        refuse_pickles(weights_only)
        keep, fn = return_predictions is not False, TrainerFn.PREDICTING
        found = self._evaluate(fn, model, dataloaders, datamodule, ckpt_path, keep=keep)
        if not (keep and found):
            return None
        return found[0] if len(found) == 1 else found

    def _evaluate(
        self,
        fn: TrainerFn,
        model: Module | None,
        loaders: Any,
        datamodule: DataModule | None,
        ckpt_path: str | Path | None,
        verbose: bool = False,
        keep: bool = False,
    ) -> list[Any]:
        if isinstance(loaders, DataModule):
            loaders, datamodule = None, loaders
        with running(self, fn, model, {fn.value: loaders}, datamodule, ckpt_path):
            results = evaluation.evaluate(self, keeps_outputs=keep)
        if verbose and self.is_global_zero:
            evaluation.print_results(results, fn.value)
        return results

    @contextmanager
    def init_module(self, empty_init: bool | None = None) -> Iterator[None]:
        """Inside, parameters are made on the run's device, in its precision.

        Raises:
            MisconfigurationError: `empty_init` is True.
        """
        _refuse_if(empty_init, "empty_init is not supported: use torch.device('meta').")
        with self.engine.device, default_dtype(self.engine.precision.dtype):
            yield

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print on rank 0, without tearing the progress bar."""
        bar = self.progress_bar_callback
        if self.is_global_zero:
            (bar.print if bar is not None else print)(*args, **kwargs)

    # --- what the loops tell it -------------------------------------------------------

    def begin_stage(self, stage: str) -> None:
        """Turn to a stage: what is logged from now on belongs to it."""
        self.state.stage = stage
        training = stage == "train"
        self.recorder = self.train_recorder if training else self.eval_recorder
        self.shows_epoch = False

    def leave_loop(self) -> None:
        """Nothing can be logged until a stage begins."""
        self.keep_metrics()
        self.recorder = MetricRecorder(training=False)

    def run_backward(self, loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """A backward pass of manual optimization: hooks, scaling, the module's own."""
        if self.check_finite:
            check_loss(self, loss)
        self.strategy.before_backward(loss)
        self.hooks.call("on_before_backward", loss)
        self.plan.backward(loss, *args, **kwargs)
        self.hooks.call("on_after_backward")

    def scaled_backward(self, loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """The module's backward pass of the scaled loss."""
        self.module.backward(self.engine.precision.scale(loss), *args, **kwargs)

    # --- checkpoints ------------------------------------------------------------------

    def save_checkpoint(
        self,
        filepath: str | os.PathLike[str],
        weights_only: bool | None = False,
        storage_options: None = None,
        *,
        writer: BackgroundWriter | None = None,
    ) -> None:
        """Write a checkpoint of the run; every rank must call it.

        Args:
            filepath: the file.
            weights_only: leave out optimizers, schedulers and callbacks.
            storage_options: refused; checkpoints are local files.
            writer: who writes a copy of the state while training goes on.

        Raises:
            CheckpointError: it could not be written; what was there before is unharmed.
            MisconfigurationError: there is no module yet.
        """
        _refuse_if(storage_options, "storage_options is not supported: mount a folder.")
        _refuse_if(
            self.module is None,
            "There is nothing to save before fit, validate, test or predict has run.",
        )
        settle(self)

        def write() -> None:
            write_checkpoint(content, filepath)
            if self.fitting:
                self.lock.acquire(self.checkpoint_folder())

        with self.profiler.profile("save_checkpoint"):
            content = resume.collect(self, bool(weights_only))
            if writer is None:
                self.engine.on_rank_zero(write)
            elif self.is_global_zero:
                content = copy_to_cpu(content)
                writer.submit(write)

    def checkpoint_folder(self) -> str | None:
        """Folder of the first ModelCheckpoint, None without one."""
        return self.model_checkpoints[0].dirpath if self.model_checkpoints else None

    def checkpoint_folders(self) -> list[Path]:
        """Folders to look for checkpoints in: this run's, then earlier versions', newest first."""
        folders = [Path(c.resolve_dirpath(self)) for c in self.model_checkpoints[:1]]
        for logger in self.loggers:
            root = Path(logger.root_dir or self.default_root_dir)
            versions = sorted(root.glob("version_*/checkpoints"), key=_version_of)
            folders += reversed(versions)
        if not self.loggers:
            folders.append(Path(self.default_root_dir, "checkpoints"))
        return list(dict.fromkeys(folders))

    # --- metrics ----------------------------------------------------------------------

    def keep_metrics(self) -> None:
        """Keep the recorder's current values, which its next reset would lose."""
        current = self.recorder.metrics(on_step=not self.shows_epoch)
        for kept, values in zip(self._kept, current, strict=True):
            kept.update(values)

    def forget_metrics(self) -> None:
        """Start with no metrics at all."""
        self._kept = Metrics({}, {}, {})

    def send_metrics(
        self, values: dict[str, torch.Tensor], step: int | None = None, behind: int = 0
    ) -> None:
        """Send values to every logger.

        Args:
            values: by name.
            step: the x axis; by default a logged `step`, else batches that stepped.
            behind: how many of those it lies back.
        """
        if not self.loggers or not values:
            return
        self._kept.log.update(values)
        numbers = {name: value.item() for name, value in values.items()}
        if step is None and "step" in numbers:
            step = int(numbers.pop("step"))
        elif step is None:
            numbers.setdefault("epoch", self.progress.epoch)
            step = self.progress.batches_that_stepped - behind
        for logger in self.loggers:
            logger.log_metrics(numbers, step=step)
            logger.save()

    @property
    def callback_metrics(self) -> dict[str, torch.Tensor]:
        """Every metric that was logged, under its name and its forked names.

        What a callback puts here is kept, as are those of a checkpoint.
        """
        self.keep_metrics()
        return self._kept.callback

    @property
    def logged_metrics(self) -> dict[str, torch.Tensor]:
        """Metrics sent to the loggers, under their forked names."""
        self.keep_metrics()
        return self._kept.log

    @property
    def progress_bar_metrics(self) -> dict[str, float]:
        """Metrics for the progress bar, as numbers."""
        self.keep_metrics()
        return {name: value.item() for name, value in self._kept.pbar.items()}

    # --- state, as callbacks and modules see it ---------------------------------------

    @property
    def current_epoch(self) -> int:
        """Index of the epoch being trained; after fit, the number of epochs trained."""
        return self.progress.epoch

    @property
    def global_step(self) -> int:
        """Optimizer steps taken, all optimizers together."""
        return self.progress.global_step

    @property
    def may_stop_early(self) -> bool:
        """`min_epochs` and `min_steps` are met, so `should_stop` is honoured."""
        enough = self.progress.epoch >= (self.min_epochs or 0)
        return enough and self.progress.global_step >= (self.min_steps or 0)

    @property
    def logs_step(self) -> bool:
        """This step's values go to the loggers."""
        count, every = self.progress.batches_that_stepped + 1, self.log_every_n_steps
        return every > 0 and (count % every == 0 or self.should_stop)

    @property
    def num_sanity_val_batches(self) -> list[int | float]:
        """Batches of each validation loader that the sanity check takes."""
        return [min(self.num_sanity_val_steps, n) for n in self.num_val_batches]

    @property
    def managed_optimizers(self) -> list[ManagedOptimizer]:
        """The optimizers as users step them; made anew when somebody sets others."""
        if [managed.optimizer for managed in self._managed] != self.optimizers:
            step, own = partial(training.take_step, self), self.module
            self._managed = [ManagedOptimizer(o, own, step) for o in self.optimizers]
        return self._managed

    @property
    def estimated_stepping_batches(self) -> int | float:
        """Optimizer steps that the whole fit will take; loads the training data.

        Without an end it is infinite; where the data's length is unknown, `max_steps`.

        Raises:
            MisconfigurationError: the accumulation changes from epoch to epoch.
        """
        _refuse_if(
            any(len(getattr(cb, "scheduling", ())) > 1 for cb in self.callbacks),
            "estimated_stepping_batches needs an accumulation that stays the same.",
        )
        limit = math.inf if self.max_steps == -1 else self.max_steps
        if self.max_epochs == -1:
            return limit
        if self.module is not None:
            loading.load_training_data(self)
        if self.num_training_batches == math.inf:
            return self.max_steps
        steps = math.ceil(self.num_training_batches / self.accumulate_grad_batches)
        return min(steps * max(self.max_epochs or 0, 1), limit)

    @property
    def fitting(self) -> bool:
        """`fit` was called."""
        return self.state.fn is TrainerFn.FITTING

    training: bool = _in_stage("The training loop runs.", "train")
    validating: bool = _in_stage("Validation runs, also within fit.", "validate")
    testing: bool = _in_stage("The test loop runs.", "test")
    predicting: bool = _in_stage("Prediction runs.", "predict")
    sanity_checking: bool = _in_stage("The sanity check runs.", "sanity_check")
    evaluating: bool = _in_stage("It evaluates.", "validate", "test", "sanity_check")

    @property
    def interrupted(self) -> bool:
        """The run ended by a signal or another exception."""
        return self.state.stopped and not self.state.finished

    @property
    def received_sigterm(self) -> bool:
        """SIGTERM was received."""
        return self.signals.received == 15

    # --- places, devices, parts -------------------------------------------------------

    @property
    def lightning_module(self) -> Module:
        """The module."""
        return self.module

    model = lightning_module

    @property
    def logger(self) -> Logger | None:
        """The first logger, None without one."""
        return self.loggers[0] if self.loggers else None

    @logger.setter
    def logger(self, logger: Logger | None) -> None:
        self.loggers = [] if logger is None else [logger]

    @property
    def log_dir(self) -> str | None:
        """Folder of this run's logs, the same on every rank.

        The ranks agree on it when a run starts, so that any of them may ask at any time.
        """
        first = self.logger
        if first is None:
            return self.default_root_dir
        return first.log_dir or first.save_dir

    @property
    def train_dataloader(self) -> Any:
        """The training loader as this rank uses it."""
        return self.train_loader.loader if self.train_loader is not None else None

    model_checkpoints: list[ModelCheckpoint] = _callbacks_of(ModelCheckpoint)[0]
    checkpoint_callbacks: list[Checkpoint]
    checkpoint_callback: Checkpoint | None
    checkpoint_callbacks, checkpoint_callback = _callbacks_of(Checkpoint)
    early_stopping_callbacks: list[EarlyStopping]
    early_stopping_callback: EarlyStopping | None
    early_stopping_callbacks, early_stopping_callback = _callbacks_of(EarlyStopping)
    progress_bar_callback: ProgressBar | None = _callbacks_of(ProgressBar)[1]


# --- the constructor's small parts --------------------------------------------------------


# What arguments may be: words, the least of a number, shares of an epoch.
_CHOICES: dict[str, tuple[Any, ...]] = {
    "gradient_clip_algorithm": (None, "norm", "value"),
    "check_finite": (True, False, "grad"),
    "on_nonfinite": ("stop", "skip"),
}
_LEAST = {
    "max_epochs": -1,
    "max_steps": -1,
    "min_epochs": 0,
    "min_steps": 0,
    "num_sanity_val_steps": -1,
    "fast_dev_run": 0,
    "log_every_n_steps": 0,
    "reload_dataloaders_every_n_epochs": 0,
    "accumulate_grad_batches": 1,
    "num_nodes": 1,
    "check_val_every_n_epoch": 1,
}
_MAY_BE_NONE = "max_epochs", "min_epochs", "min_steps", "check_val_every_n_epoch"
_OFF_IN_BAREBONES = (
    "enable_checkpointing logger enable_progress_bar log_every_n_steps"
    " enable_model_summary num_sanity_val_steps fast_dev_run detect_anomaly profiler"
).split()
_SHARES = (
    "limit_train_batches limit_val_batches limit_test_batches limit_predict_batches"
    " overfit_batches val_check_interval"
).split()


def _refuse_if(condition: object, message: str) -> None:
    if condition:
        raise MisconfigurationError(message)


def _listed(argument: str, given: Any, kind: type) -> list[Any]:
    """What was given, one or several of a kind, as a list."""
    several = isinstance(given, Iterable) and not isinstance(given, kind)
    listed = list(given) if several else [given]
    if not all(isinstance(each, kind) for each in listed):
        raise WrongTypeError(
            f"{argument}={given!r} must be a {kind.__name__} or a list of them, each made"
            " with its parentheses."
        )
    return listed


def _or(number: int | float | None, default: int | float = 1.0) -> int | float:
    """A number as Python's own, or its default."""
    number = default if number is None else number
    return int(number) if isinstance(number, numbers.Integral) else number


def _time_or_batches(interval: Any) -> int | float | timedelta:
    if isinstance(interval, (str, dict, timedelta)):
        return timedelta(seconds=in_seconds(interval))
    return _or(interval)


def _set_backends(
    deterministic: bool | Literal["warn"] | None, benchmark: bool | None
) -> None:
    if deterministic is not None:
        warn_only = deterministic == "warn"
        torch.use_deterministic_algorithms(bool(deterministic), warn_only=warn_only)
        if deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if deterministic or benchmark is not None:
        torch.backends.cudnn.benchmark = bool(benchmark)


def _version_of(folder: Path) -> int:
    number = folder.parent.name.removeprefix("version_")
    return int(number) if number.isdigit() else -1
