"""What a checkpoint of a run holds, and how the run goes on from it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from scaffold_runtime import launch
from scaffold_runtime.archive import storable
from scaffold_runtime.checkpoint import check_weights, fitting
from scaffold_runtime.errors import CheckpointError
from scaffold_runtime.hyperparameters import plain_hyperparameters
from scaffold_runtime.launch import rank_zero_info, rank_zero_warn
from scaffold_runtime.progress import Phase
from scaffold_runtime.seed import random_state, restore_random_state
from scaffold_runtime.stops import RunStopped

if TYPE_CHECKING:
    from scaffold_runtime.trainer import Trainer

FORMAT = 1
# What an optimizer counts in one number for a whole parameter.
SCALARS = {"step", "eta", "mu", "mu_product"}


# --- writing ------------------------------------------------------------------------------


def collect(trainer: Trainer, weights_only: bool = False) -> dict[str, Any]:
    """A checkpoint's content; every rank must call it, rank 0 gets it whole."""
    progress, strategy = trainer.progress, trainer.strategy
    content: dict[str, Any] = {
        "epoch": progress.epoch,
        "global_step": progress.global_step,
        "scaffold_format": FORMAT,
        "state_dict": strategy.full_state(dict(trainer.module.state_dict())),
        "loops": {"fit_loop": _loop_state(trainer)},
    }
    for owner in (trainer.module, trainer.datamodule):
        if owner is not None and owner.hparams:
            name = getattr(owner, "_hparams_name", "kwargs")
            content[owner.CHECKPOINT_HYPER_PARAMS_NAME] = name
            values = plain_hyperparameters(dict(owner.hparams))
            content[owner.CHECKPOINT_HYPER_PARAMS_KEY] = values
    if trainer.datamodule is not None and (state := trainer.datamodule.state_dict()):
        content[type(trainer.datamodule).__qualname__] = state
    if not weights_only:
        states = {cb.state_key: cb.state_dict() for cb in trainer.callbacks}
        content["callbacks"] = {key: state for key, state in states.items() if state}
        own = (optimizer.state_dict() for optimizer in trainer.optimizers)
        content["optimizer_states"] = list(map(strategy.full_state, own))
        content["lr_schedulers"] = [
            config.scheduler.state_dict() for config in trainer.lr_scheduler_configs
        ]
        if state := trainer.engine.precision.state_dict():
            content[type(trainer.engine.precision).__qualname__] = state
        for callback in trainer.callbacks:
            callback.on_save_checkpoint(trainer, trainer.module, content)
    trainer.module.on_save_checkpoint(content)
    # A module's state has attributes of its own, and stays the object that it is.
    rest = content.keys() - {"state_dict"}
    return content | {key: storable(content[key], key) for key in rest}


def _loop_state(trainer: Trainer) -> dict[str, Any]:
    """Where the loop stands; random states of every rank, in the order of ranks."""
    if trainer.resumed is not None:  # it stands where it stood, and is not at work yet
        return trainer.resumed
    own = trainer.rank_state or rank_state(trainer)
    ranks = [trainer.engine.broadcast(own, src) for src in range(trainer.world_size)]
    loader, progress = trainer.train_loader, trainer.progress
    within_epoch = progress.batch > 0 and progress.phase != Phase.EPOCH_DONE
    within_step = trainer.training and trainer.train_recorder.batch is not None
    # FSDP keeps gradients that wait for their accumulation where nobody can read them.
    loses_gradients = not trainer.is_stepping and trainer.strategy.name == "fsdp"
    return {
        "progress": progress.state_dict(),
        "within_step": loses_gradients
        or (within_step and progress.phase == Phase.BETWEEN),
        "seed": trainer.engine.seed,
        "world_size": trainer.world_size,
        "ranks": ranks,
        "loader": loader.state_dict(within_epoch) if loader is not None else {},
        "callback_metrics": {
            name: value.detach().cpu()
            for name, value in trainer.callback_metrics.items()
            if not trainer.sanity_checking
        },
        "is_last_batch": trainer.is_last_batch,
        "is_stepping": trainer.is_stepping,
        "validation_due": trainer.validation_due,
        "nonfinite": trainer.nonfinite,
        "should_stop": trainer.should_stop and progress.batch > 0,
    }


def rank_state(trainer: Trainer) -> dict[str, Any]:
    """What this rank alone knows: random state, running metrics, gradients in accumulation."""
    return {
        "random_state": random_state(),
        "metrics": trainer.train_recorder.state_dict(
            trainer.module, trainer.eval_recorder
        ),
        "eval_batches": dict(trainer.progress.eval_batches),
        "gradients": {
            name: parameter.grad.cpu()
            for name, parameter in trainer.module.named_parameters()
            if parameter.grad is not None
            and not hasattr(parameter.grad, "full_tensor")
            and not (trainer.is_stepping and trainer.module.automatic_optimization)
        },
    }


# --- reading ------------------------------------------------------------------------------


def load_weights(trainer: Trainer, content: dict[str, Any]) -> None:
    """Load a checkpoint's weights, and the data module's state.

    Raises:
        CheckpointError: they do not fit.
    """
    module, datamodule = trainer.module, trainer.datamodule
    module.on_load_checkpoint(content)
    check_weights(module, content, trainer.ckpt_path)
    with fitting("What module and data module have saved", trainer.ckpt_path):
        strict = module.strict_loading
        trainer.strategy.load_module_state(module, content["state_dict"], strict)
        if datamodule is not None and type(datamodule).__qualname__ in content:
            datamodule.load_state_dict(content[type(datamodule).__qualname__])


def load_callbacks(trainer: Trainer, content: dict[str, Any]) -> None:
    """Give every callback the checkpoint, then each its own state."""
    states = dict(content.get("callbacks", {}))
    for callback in trainer.callbacks:
        callback.on_load_checkpoint(trainer, trainer.module, content)
    for callback in trainer.callbacks:
        if callback.state_key in states and (trainer.fitting or not callback.fit_state):
            with fitting(f"The state of {callback.state_key}", trainer.ckpt_path):
                callback.load_state_dict(states.pop(callback.state_key))
    if states and trainer.fitting:
        rank_zero_warn(
            f"The checkpoint holds the state of {', '.join(sorted(states))}, and this run"
            " has no such callback: its state is left out."
        )


def load_training_state(trainer: Trainer, content: dict[str, Any]) -> None:
    """Restore precision, loop, optimizers and schedulers.

    Raises:
        CheckpointError: the checkpoint holds weights only, does not fit, or lies beyond
            max_epochs.
    """
    if "optimizer_states" not in content:
        raise CheckpointError(
            f"{trainer.ckpt_path} holds weights only, so training cannot go on from it: use"
            " a full checkpoint, or load_from_checkpoint to start anew from these weights."
        )
    precision = trainer.engine.precision
    saved, own = content["optimizer_states"], trainer.optimizers
    configs, schedules = trainer.lr_scheduler_configs, content.get("lr_schedulers", [])
    for what, states, found in (
        ("optimizers", saved, own),
        ("schedulers", schedules, configs),
    ):
        if len(states) != len(found):
            raise CheckpointError(
                f"{trainer.ckpt_path} holds the state of {len(states)} {what}, and this"
                f" module has {len(found)}: resume with the module that was saved."
            )
    with fitting("The state of training", trainer.ckpt_path):
        if state := content.get(type(precision).__qualname__):
            precision.load_state_dict(state)
        _load_loop(trainer, content)
        for optimizer, state in zip(own, saved, strict=True):
            trainer.strategy.load_optimizer_state(optimizer, state)
            _check_entries(optimizer)
        for config, state in zip(configs, schedules, strict=True):
            config.scheduler.load_state_dict(state)


def _check_entries(optimizer: Optimizer) -> None:
    """Raise a ValueError where torch's own optimizers would fail in their next step."""
    if not type(optimizer).__module__.startswith("torch.optim."):
        return
    if isinstance(optimizer, (torch.optim.LBFGS, torch.optim.Adafactor)):
        return  # they do not keep a value for each element
    for group in optimizer.param_groups:
        if lacks := optimizer.defaults.keys() - group.keys():
            raise ValueError(f"a group without {', '.join(sorted(lacks))}")
    for parameter, entries in optimizer.state.items():
        for name, value in entries.items():
            expected = () if name in SCALARS else parameter.shape
            size = () if isinstance(value, (int, float)) else getattr(value, "shape", 0)
            if size != expected and (value is not None or name in SCALARS):
                raise ValueError(f"{name} of a parameter, {tuple(parameter.shape)}")


def load_seed(trainer: Trainer, content: dict[str, Any]) -> None:
    """Take over the seed that the order of the data follows from.

    Before `configure_optimizers`, which may ask for the number of steps: that loads data.
    """
    with fitting("The seed", trainer.ckpt_path):
        state = dict(content.get("loops", {}).get("fit_loop", {}))
        trainer.engine.seed = int(state.get("seed", trainer.engine.seed))


def _load_loop(trainer: Trainer, content: dict[str, Any]) -> None:
    state = content.get("loops", {}).get("fit_loop", {})
    if "progress" in state:
        trainer.progress.load_state_dict(dict(state["progress"]))
        trainer.resumed = state
    else:
        progress, steps = trainer.progress, content.get("global_step", 0)
        progress.epoch = content.get("epoch", -1) + 1
        progress.global_step = progress.batches_that_stepped = steps
        rank_zero_warn(
            f"{trainer.ckpt_path} was not written by this package: training goes on from"
            f" the start of epoch {progress.epoch}."
        )
    limit = trainer.max_epochs
    if limit not in (None, -1) and trainer.progress.epoch > limit:
        raise CheckpointError(
            f"{trainer.ckpt_path} is of epoch {trainer.progress.epoch}, and"
            f" max_epochs={limit} ends before it: raise max_epochs."
        )


def resume_epoch(trainer: Trainer) -> Iterator[Any] | None:
    """Go on in the epoch that a checkpoint stopped in, None when there is nothing to resume.

    The random state is restored last, when the iterator is made: making it may draw.
    """
    state, trainer.resumed = trainer.resumed, None
    if state is None:
        return None
    progress, loader = trainer.progress, trainer.train_loader
    between_epochs = progress.batch == 0 and progress.phase == Phase.BETWEEN
    batches: Iterator[Any] = iter(())
    with fitting("The state of the loop", trainer.ckpt_path):
        loader.load_state_dict(state["loader"])
        trainer.is_last_batch = state["is_last_batch"]
        trainer.is_stepping = state["is_stepping"]
        trainer.validation_due = state["validation_due"]
        trainer.nonfinite = state.get("nonfinite", "")
        trainer.should_stop = trainer.should_stop or state["should_stop"]
        trainer.callback_metrics.update(state["callback_metrics"])
        _restore_gradients(trainer, state["ranks"])
    if state["should_stop"]:
        rank_zero_info("The run had decided to stop when it was saved: it ends soon.")
    if not between_epochs and progress.phase != Phase.EPOCH_DONE:
        batches = loader.iterate(progress.epoch, skip=progress.batch)
    with fitting("The state of the loop", trainer.ckpt_path):
        _restore_rank(trainer, state)
    return None if between_epochs else batches


def _restore_gradients(trainer: Trainer, ranks: list[dict[str, Any]]) -> None:
    """Each rank's own sum; in another world the mean, which is what would become of them."""
    own = [ranks[trainer.global_rank]] if len(ranks) == trainer.world_size else ranks
    gradients = [dict(rank["gradients"]) for rank in own]
    for name, parameter in trainer.module.named_parameters():
        if name in gradients[0]:
            mean = sum(gradient[name] for gradient in gradients) / len(own)
            parameter.grad = mean.to(parameter.device)


def _restore_rank(trainer: Trainer, state: dict[str, Any]) -> None:
    if state["within_step"]:
        rank_zero_warn(
            "The checkpoint was saved within a step: that step is taken again, with other"
            " random numbers. Save in on_train_batch_end to go on exactly."
        )
    if state["world_size"] != trainer.world_size:
        rank_zero_warn(
            f"The checkpoint was saved by {state['world_size']} processes, and"
            f" {trainer.world_size} go on: samples and their order stay the same, random"
            " numbers drawn in the model do not."
        )
        return
    own = state["ranks"][trainer.global_rank]
    trainer.progress.eval_batches = own["eval_batches"]
    trainer.train_recorder.load_state_dict(own["metrics"], trainer.module)
    restore_random_state(own["random_state"])


# --- stopping -----------------------------------------------------------------------------


def save_and_stop(trainer: Trainer, signal_number: int) -> None:
    """Save the last whole step as `last` and end the run.

    Raises:
        RunStopped: always.
    """
    for callback in trainer.model_checkpoints:
        try:
            callback.finish_writing()
        except CheckpointError as error:  # the save that follows stands for it
            rank_zero_warn(str(error))
    if trainer.model_checkpoints and not trainer.fast_dev_run:
        path = trainer.model_checkpoints[0].save_stopped(trainer)
        rank_zero_info(f"Stopped by a signal; the run goes on from {Path(path)}")
    launch.note_stop()
    if signal.Signals(signal_number).name == "SIGUSR1" and trainer.is_global_zero:
        launch.requeue_job()
    raise RunStopped(signal_number)
