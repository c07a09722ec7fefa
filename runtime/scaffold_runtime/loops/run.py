"""Everything around a loop: what is set up before it, and how it ends, well or badly."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from scaffold_runtime.callback import Callback
from scaffold_runtime.checkpoint import remove_staged
from scaffold_runtime.data import DataModule
from scaffold_runtime.errors import MisconfigurationError, UserError, WrongTypeError
from scaffold_runtime.launch import leave_if_stopped, rank_zero_info
from scaffold_runtime.loader import EpochLoader
from scaffold_runtime.loops import loading, resume, search
from scaffold_runtime.loops.finite import make_verdict
from scaffold_runtime.loops.hooks import Hooks, is_overridden
from scaffold_runtime.loops.step_plan import plan_step
from scaffold_runtime.metrics import MetricRecorder
from scaffold_runtime.module import Module
from scaffold_runtime.optimization import parse_optimizers
from scaffold_runtime.progress import Phase, TrainerFn, TrainerState, TrainerStatus
from scaffold_runtime.secret import mask
from scaffold_runtime.stops import RunStopped
from scaffold_runtime.strategies.batch_norm import synchronize_batch_norm

if TYPE_CHECKING:
    from scaffold_runtime.trainer import Trainer

# What an entry point needs of a module: one of each group.
_NEEDED: dict[TrainerFn, list[tuple[str, ...]]] = {
    TrainerFn.FITTING: [("training_step",), ("configure_optimizers",)],
    TrainerFn.VALIDATING: [("validation_step",)],
    TrainerFn.TESTING: [("test_step",)],
    TrainerFn.PREDICTING: [("predict_step", "forward")],
}


@contextmanager
def running(
    trainer: Trainer,
    fn: TrainerFn,
    model: Module | None,
    given: dict[str, Any],
    datamodule: DataModule | None,
    ckpt_path: str | os.PathLike[str] | None,
) -> Iterator[None]:
    """Everything around a loop: set up before it, end well or badly after it."""
    if fn is TrainerFn.FITTING:
        leave_if_stopped()
    trainer.engine.launch()
    wanted = None if ckpt_path is None else os.fspath(ckpt_path)
    if wanted is None and model is None and trainer.model_checkpoints:
        wanted = "best"
    trainer.state = TrainerState(fn)
    trainer.state.stage = "train" if trainer.fitting else fn.value
    if trainer.fitting:
        trainer.should_stop = False
        trainer.settle_epochs()
    _attach(trainer, fn, model, given, datamodule)
    with trainer.signals if fn is TrainerFn.FITTING else nullcontext():
        try:
            _set_up(trainer, fn, wanted)
            with torch.autograd.set_detect_anomaly(trainer.detect_anomaly):
                yield
            _finish(trainer, fn)
        except (KeyboardInterrupt, RunStopped) as interruption:
            _interrupt(trainer, interruption)
        except BaseException as error:
            lost = _lost_samples(trainer, error)
            _fail(trainer, lost or error)
            if lost is not None:
                raise lost from error
            raise
        finally:
            for loader in _loaders(trainer):
                loader.close()
            trainer.lock.release()
            trainer.profiler.describe()
            trainer.profiler.teardown(fn.value)


def _attach(
    trainer: Trainer,
    fn: TrainerFn,
    model: Module | None,
    given: dict[str, Any],
    datamodule: DataModule | None,
) -> None:
    """Connect trainer, module and data module.

    Raises:
        MisconfigurationError: one of them is missing, or not what it must be.
    """
    has_loaders = any(loaders is not None for loaders in given.values())
    if has_loaders and datamodule is not None:
        raise MisconfigurationError(
            f"{fn.value} was given loaders and a data module: pass one of the two."
        )
    if model is not None:
        trainer.module = _unwrap_compiled(model)
    elif trainer.module is None:
        raise MisconfigurationError(
            f"{fn.value} needs a module: pass one, or fit one first."
        )
    if model is not None or datamodule is not None or has_loaders:
        trainer.datamodule = datamodule
    for part, kind in ((trainer.module, Module), (trainer.datamodule, DataModule)):
        if part is not None and not isinstance(part, kind):
            name = kind.__name__
            raise WrongTypeError(
                f"Trainer takes a {name} (Lightning{name}), and got a"
                f" {type(part).__name__}: give an object of a class that inherits from it."
            )
    for steps in _NEEDED[fn]:
        if not any(is_overridden(trainer.module, step, Module) for step in steps):
            raise MisconfigurationError(
                f"{type(trainer.module).__name__} has no {' and no '.join(steps)}: define"
                f" it to call {fn.value}."
            )
    for stage in ("training", "validation", "test"):
        if hasattr(trainer.module, f"{stage}_epoch_end"):
            hook = f"on_{stage.removesuffix('ing')}_epoch_end"
            raise MisconfigurationError(
                f"{stage}_epoch_end is not called, as in Lightning 2: rename it to {hook},"
                " and keep what the steps return yourself."
            )
    trainer.given_loaders = given
    trainer.module.trainer = trainer
    if trainer.datamodule is not None:
        trainer.datamodule.trainer = trainer


def _set_up(trainer: Trainer, fn: TrainerFn, ckpt_path: str | None) -> None:
    """From `configure_callbacks` to the loop's first hook, in the documented order."""
    fitting, module = fn is TrainerFn.FITTING, trainer.module
    _attach_module_callbacks(trainer)
    # Before anything is written: what is not there or damaged leaves no folder behind.
    content = search.open_checkpoint(trainer, ckpt_path)
    _prepare_data(trainer)
    for recorder in (trainer.train_recorder, trainer.eval_recorder):
        recorder.reset()  # metric objects may be left from an epoch that an error cut short
    if fitting:
        trainer.reset()
        # An epoch that an error cut short begins anew, unless a checkpoint says otherwise.
        trainer.progress.batch, trainer.progress.phase = 0, Phase.BETWEEN
    _call_setup(trainer, fn.value)
    if fitting:
        trainer.engine.on_rank_zero(lambda: _take_folder(trainer))
    with trainer.init_module():
        module.configure_model()
    trainer.hooks = Hooks(trainer, module, trainer.callbacks)
    if trainer.sync_batchnorm and trainer.distributed:
        synchronize_batch_norm(module, trainer.engine.device)
    trainer.engine.prepare_module(module)
    if content is not None:
        resume.load_weights(trainer, content)
        if fitting:
            resume.load_seed(trainer, content)
        resume.load_callbacks(trainer, content)
    engine = trainer.engine
    reduce = engine.all_reduce if trainer.distributed else None
    trainer.train_recorder = MetricRecorder(True, reduce, engine.device)
    trainer.eval_recorder = MetricRecorder(False, reduce, engine.device)
    trainer.forget_metrics()
    if fitting:
        trainer.optimizers, trainer.lr_scheduler_configs = parse_optimizers(
            module.configure_optimizers(),
            module.automatic_optimization,
            is_overridden(module, "lr_scheduler_step", Module),
        )
        trainer.hooks.call("on_fit_start")
    if trainer.enable_autolog_hparams:
        _log_hyperparameters(trainer)
    if fitting:
        if content is not None:
            resume.load_training_state(trainer, content)
        trainer.plan = plan_step(trainer)
        if trainer.check_finite:
            trainer.verdict = make_verdict(trainer)
    transfer = loading.bind_transfer(trainer)
    trainer.transfer = transfer and trainer.profiler.wrap(transfer, "batch_to_device")
    trainer.engine.barrier("run")
    module.zero_grad()


def _take_folder(trainer: Trainer) -> None:
    """Lock the checkpoint folder, and sweep what a killed run has left in it."""
    folder = trainer.checkpoint_folder()
    trainer.lock.acquire(folder)
    if folder is not None:
        remove_staged(folder)


def _attach_module_callbacks(trainer: Trainer) -> None:
    """A module's callbacks take the place of the trainer's of the same type, or a base."""
    brought = trainer.module.configure_callbacks()
    extra = [brought] if isinstance(brought, Callback) else list(brought or ())
    bases = {base for new in extra for base in type(new).__mro__} - {Callback}
    kept = [cb for cb in trainer.callbacks if type(cb) not in bases]
    trainer.callbacks = sorted([*kept, *extra], key=lambda cb: cb.runs_last is True)
    for callback in trainer.callbacks:
        callback.log, callback.log_dict = trainer.module.log, trainer.module.log_dict


def _prepare_data(trainer: Trainer) -> None:
    """`prepare_data` in one process of each machine, or in one of all."""
    for owner in (trainer.datamodule, trainer.module):
        if owner is not None:
            each = owner.prepare_data_per_node
            if (trainer.local_rank if each else trainer.global_rank) == 0:
                owner.prepare_data()
    trainer.engine.barrier("prepare_data")


def _call_setup(trainer: Trainer, stage: str) -> None:
    for logger in trainer.loggers:
        logger.share_version(trainer.engine.broadcast)
        logger.begin()
    rank = trainer.global_rank if trainer.distributed else None
    trainer.profiler.setup(stage, rank, trainer.log_dir)
    trainer.engine.barrier("setup")
    _tell_all(trainer, "setup", stage)


def _log_hyperparameters(trainer: Trainer) -> None:
    """Send what module and data module have saved to the loggers.

    Raises:
        MisconfigurationError: both have saved one name with different values.
    """
    both = (trainer.module, trainer.datamodule)
    owners = [owner for owner in both if owner and owner._log_hyperparams]
    merged: dict[str, Any] = {}
    for owner in owners:
        for key, value in dict(owner.hparams_initial).items():
            if key in merged and merged[key] != value:
                raise MisconfigurationError(
                    f"Module and data module both save the hyperparameter {key!r}, with"
                    " different values: rename one, or save with logger=False."
                )
            merged[key] = value
    for logger in trainer.loggers:
        if owners:
            logger.log_hyperparams(mask(merged))
        logger.log_graph(trainer.module)
        logger.save()


def _finish(trainer: Trainer, fn: TrainerFn) -> None:
    """After a loop that came to its end."""
    trainer.leave_loop()
    if fn is TrainerFn.FITTING:
        trainer.hooks.call("on_fit_end")
    _tell_all(trainer, "teardown", fn.value)
    for logger in trainer.loggers:
        logger.finalize("success")
    trainer.state.status, trainer.state.stage = TrainerStatus.FINISHED, None


def _tell_all(trainer: Trainer, hook: str, stage: str) -> None:
    """Call `setup` or `teardown` of data module, callbacks and module."""
    if trainer.datamodule is not None:
        getattr(trainer.datamodule, hook)(stage=stage)
    for callback in trainer.callbacks:
        getattr(callback, hook)(trainer, trainer.module, stage=stage)
    getattr(trainer.module, hook)(stage=stage)


def _interrupt(trainer: Trainer, interruption: BaseException) -> None:
    """End a run that was asked to stop, with the code that says by what."""
    rank_zero_info(f"{interruption or 'The run was interrupted.'}")
    _fail(trainer, interruption)
    sys.exit(getattr(interruption, "exit_code", 130))


def _loaders(trainer: Trainer) -> list[EpochLoader]:
    """Every loader of the run."""
    train = [trainer.train_loader] if trainer.train_loader is not None else []
    return train + trainer.eval_loaders


def _lost_samples(trainer: Trainer, error: BaseException) -> UserError | None:
    """What a data worker that died took with it, if that is the error."""
    found = [loader.lost_samples(error) for loader in _loaders(trainer)]
    return next(filter(None, found), None) if isinstance(error, RuntimeError) else None


def _fail(trainer: Trainer, error: BaseException) -> None:
    """Tell everybody that the run ends by an exception."""
    if isinstance(error, RuntimeError) and not isinstance(error, UserError):
        trainer.strategy.report_silence()
    trainer.state.status = TrainerStatus.INTERRUPTED
    trainer.leave_loop()
    for callback in trainer.callbacks:
        callback.on_exception(trainer, trainer.module, error)
    if trainer.datamodule is not None:
        trainer.datamodule.on_exception(error)
    trainer.module.on_exception(error)
    for logger in trainer.loggers:
        logger.finalize("failed")
    trainer.state.stage = None


def _unwrap_compiled(model: Any) -> Module:
    """The module itself; its steps stay compiled when it was."""
    original = getattr(model, "_orig_mod", None)
    if original is None:
        return model  # type: ignore[no-any-return]
    steps = [f"{word}_step" for word in ("training", "validation", "test", "predict")]
    for step in ("forward", *steps):
        setattr(original, step, model.dynamo_ctx(getattr(original, step)))
    return original  # type: ignore[no-any-return]
