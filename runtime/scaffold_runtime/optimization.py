"""Optimizers and schedulers: what `configure_optimizers` may return, and what becomes of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.launch import rank_zero_warn


@dataclass
class SchedulerConfig:
    """A learning-rate scheduler and when it steps.

    Attributes:
        scheduler: the scheduler.
        name: its name for `LearningRateMonitor`.
        interval: `epoch` or `step`.
        frequency: it steps at every so many of them.
        reduce_on_plateau: it wants a metric.
        monitor: the metric's name in `trainer.callback_metrics`.
        strict: a missing metric is an error, otherwise a warning.
        optimizer: the optimizer whose rates it sets.
    """

    scheduler: Any
    name: str | None = None
    interval: str = "epoch"
    frequency: int = 1
    reduce_on_plateau: bool = False
    monitor: str | None = None
    strict: bool = True
    optimizer: Any = None


class ManagedOptimizer:
    """An optimizer as users see it: a step goes through precision and is counted.

    Everything else is the optimizer's own.

    Args:
        optimizer: the optimizer.
        step: what a step does, given the optimizer and a closure or None.
    """

    def __init__(
        self, optimizer: Optimizer, step: Callable[[Optimizer, Any], Any]
    ) -> None:
        self.optimizer = optimizer
        self._step = step

    def step(self, closure: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
        """Take a step; the closure, where given, runs the forward and backward pass first."""
        return self._step(self.optimizer, closure)

    @contextmanager
    def toggle_model(self, sync_grad: bool = True) -> Iterator[None]:
        """Inside, only this optimizer's parameters need gradients."""
        module = getattr(self, "module", None)
        if module is None:
            yield
            return
        module.toggle_optimizer(self)
        module.trainer.strategy.set_gradient_sync(sync_grad)
        try:
            yield
        finally:
            module.trainer.strategy.set_gradient_sync(True)
            module.untoggle_optimizer(self)

    def __getattr__(self, name: str) -> Any:
        if name == "optimizer":
            raise AttributeError(name)
        return getattr(self.optimizer, name)

    def __repr__(self) -> str:
        return f"ManagedOptimizer({self.optimizer!r})"


def parse_optimizers(
    returned: Any, automatic: bool = True
) -> tuple[list[Optimizer], list[SchedulerConfig]]:
    """Bring every documented form of `configure_optimizers` into two lists.

    Args:
        returned: an optimizer, a list of them, two lists, a dict with `optimizer` and
            `lr_scheduler`, a tuple of such dicts, or None.
        automatic: the module is optimized automatically.

    Raises:
        MisconfigurationError: the form is unknown, or a scheduler's dict is wrong.
    """
    if returned is None:
        rank_zero_warn("configure_optimizers returned None: nothing will be optimized.")
        return [], []
    optimizers, schedulers, monitor = _split(returned)
    for optimizer in optimizers:
        if not isinstance(optimizer, Optimizer):
            raise MisconfigurationError(
                f"configure_optimizers returned a {type(optimizer).__name__} where an"
                " optimizer belongs: return torch.optim optimizers."
            )
    if automatic and len(optimizers) > 1:
        raise MisconfigurationError(
            "Several optimizers need manual optimization: set"
            " self.automatic_optimization = False, and step them in training_step."
        )
    make = _automatic_config if automatic else _manual_config
    configs = [make(item, monitor) for item in schedulers]
    for config in configs:
        config.optimizer = getattr(config.scheduler, "optimizer", None)
        if (
            isinstance(config.optimizer, Optimizer)
            and config.optimizer not in optimizers
        ):
            raise MisconfigurationError(
                f"{type(config.scheduler).__name__} drives an optimizer that"
                " configure_optimizers did not return: return that one, too."
            )
    return optimizers, configs


def _split(returned: Any) -> tuple[list[Any], list[Any], str | None]:
    """Optimizers, schedulers as given, and the monitor of the single-dict form."""
    if isinstance(returned, Optimizer):
        return [returned], [], None
    if isinstance(returned, Mapping):
        _check_keys(returned, {"optimizer", "lr_scheduler", "monitor"})
        schedulers = [returned["lr_scheduler"]] if returned.get("lr_scheduler") else []
        return [returned["optimizer"]], schedulers, returned.get("monitor")
    if isinstance(returned, Sequence):
        items = list(returned)
        if len(items) == 2 and all(isinstance(item, list) for item in items):
            return items[0], items[1], None
        if items and all(isinstance(item, Mapping) for item in items):
            parts = [_split(item) for item in items]
            schedulers = [scheduler for part in parts for scheduler in part[1]]
            return [part[0][0] for part in parts], schedulers, None
        if items and all(isinstance(item, Optimizer) for item in items):
            return items, [], None
    raise MisconfigurationError(
        "configure_optimizers returned a form that is not known: return an optimizer, a"
        " list of them, ([optimizers], [schedulers]), or a dict with 'optimizer' and"
        " 'lr_scheduler'."
    )


def _check_keys(given: Mapping[str, Any], known: set[str]) -> None:
    extra = set(given) - known
    if extra:
        rank_zero_warn(
            f"configure_optimizers returned keys that mean nothing: {sorted(extra)};"
            f" known are {sorted(known)}."
        )


def _manual_config(item: Any, monitor: str | None) -> SchedulerConfig:
    """In manual mode the user steps: only the scheduler itself matters."""
    if not isinstance(item, Mapping):
        return SchedulerConfig(item)
    _check_keys(item, {field.name for field in fields(SchedulerConfig)})
    known = {field.name for field in fields(SchedulerConfig)} & set(item)
    return SchedulerConfig(**{key: item[key] for key in known})


def _automatic_config(item: Any, monitor: str | None) -> SchedulerConfig:
    if not isinstance(item, Mapping):
        item = {"scheduler": item, "monitor": monitor}
    known = {field.name for field in fields(SchedulerConfig)}
    _check_keys(item, known)
    if "scheduler" not in item:
        raise MisconfigurationError(
            "The dict for lr_scheduler has no key 'scheduler': put the scheduler there."
        )
    arguments = {key: item[key] for key in known & set(item)}
    plateau = isinstance(item["scheduler"], ReduceLROnPlateau)
    arguments.setdefault("reduce_on_plateau", plateau)
    arguments["monitor"] = item.get("monitor") or monitor
    config = SchedulerConfig(**arguments)
    _check_config(config)
    return config


def _check_config(config: SchedulerConfig) -> None:
    name = type(config.scheduler).__name__
    if config.interval not in ("epoch", "step"):
        raise MisconfigurationError(
            f"The interval of {name} is {config.interval!r}: it must be 'epoch' or 'step'."
        )
    if config.reduce_on_plateau and config.monitor is None:
        raise MisconfigurationError(
            f"{name} needs a metric: add monitor='val_loss', or another name that you log,"
            " to the dict that configure_optimizers returns."
        )
    if isinstance(config.scheduler, torch.optim.lr_scheduler.OneCycleLR) and (
        config.interval == "epoch"
    ):
        rank_zero_warn(
            "OneCycleLR counts steps: interval='epoch' is seldom what is meant."
        )


def needs_closure(optimizer: Optimizer) -> bool:
    """Whether the optimizer evaluates the loss itself, as LBFGS does."""
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def step_scheduler(scheduler: LRScheduler | ReduceLROnPlateau, metric: Any) -> None:
    """Step a scheduler of torch, with a metric where there is one."""
    if metric is None:
        scheduler.step()  # type: ignore[call-arg]
    else:
        scheduler.step(metric)


def trainable(optimizer: Optimizer) -> list[nn.Parameter]:
    """All parameters of an optimizer."""
    return [p for group in optimizer.param_groups for p in group["params"]]
