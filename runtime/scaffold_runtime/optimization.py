"""Optimizers and schedulers: what `configure_optimizers` may return, and what becomes of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from scaffold_runtime.errors import MisconfigurationError, WrongTypeError
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
        module: the module whose parameters it has.
        step: what a step does, given the optimizer and a closure or None.
    """

    def __init__(
        self, optimizer: Optimizer, module: Any, step: Callable[[Optimizer, Any], Any]
    ) -> None:
        self.optimizer, self._module, self._step = optimizer, module, step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; the closure, where given, runs the forward and backward pass first."""
        if closure is not None and not callable(closure):
            raise WrongTypeError(
                f"optimizer.step takes a closure, and got a {type(closure).__name__}."
            )
        return self._step(self.optimizer, closure)

    @contextmanager
    def toggle_model(self, sync_grad: bool = True) -> Iterator[None]:
        """Inside, only this optimizer's parameters need gradients."""
        unshared = self._module.trainer.engine.no_backward_sync(not sync_grad)
        with self._module.toggled_optimizer(self), unshared:
            yield

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """The optimizer's own class, so that `isinstance` says what it is."""
        return type(self.optimizer)

    def __getattr__(self, name: str) -> Any:
        if name == "optimizer":
            raise AttributeError(name)
        return getattr(self.optimizer, name)

    def __repr__(self) -> str:
        return f"ManagedOptimizer({self.optimizer!r})"


LightningOptimizer = ManagedOptimizer


def parse_optimizers(
    returned: Any, automatic: bool = True, own_stepping: bool = False
) -> tuple[list[Optimizer], list[SchedulerConfig]]:
    """Bring every documented form of `configure_optimizers` into two lists.

    Args:
        returned: an optimizer, a list of them, two lists, a dict with `optimizer` and
            `lr_scheduler`, a tuple of such dicts, or None.
        automatic: the module is optimized automatically.
        own_stepping: it steps its schedulers by its own `lr_scheduler_step`.

    Raises:
        MisconfigurationError: the form is unknown, or a scheduler's dict is wrong.
    """
    if not returned:
        rank_zero_warn(
            f"configure_optimizers returned {returned}: nothing is optimized."
        )
        return [], []
    optimizers, schedulers, monitor = _split(returned)
    for optimizer in optimizers:
        if not isinstance(optimizer, Optimizer):
            raise MisconfigurationError(
                f"configure_optimizers returned a {type(optimizer).__name__} where an"
                " optimizer belongs."
            )
    if automatic and len(optimizers) > 1:
        raise MisconfigurationError(
            "Several optimizers need manual optimization: set"
            " self.automatic_optimization = False, and step them in training_step."
        )
    configs = [_make_config(item, monitor) for item in schedulers]
    for config in configs:
        _check_config(config, optimizers, automatic, own_stepping)
    return optimizers, configs


def _split(returned: Any) -> tuple[list[Any], list[Any], str | None]:
    """Optimizers, schedulers as given, and the monitor of the single-dict form."""
    if isinstance(returned, Optimizer):
        return [returned], [], None
    if isinstance(returned, Mapping):
        _check_keys(returned, {"optimizer", "lr_scheduler", "monitor"})
        scheduler = returned.get("lr_scheduler")
        schedulers = [scheduler] if scheduler else []
        return [returned.get("optimizer")], schedulers, returned.get("monitor")
    items = list(returned) if isinstance(returned, Sequence) else []
    if len(items) == 2 and isinstance(items[0], list):
        return items[0], items[1] if isinstance(items[1], list) else [items[1]], None
    if items and all(isinstance(item, Mapping) for item in items):
        optimizers, schedulers, _ = zip(*map(_split, items), strict=True)
        return list(chain(*optimizers)), list(chain(*schedulers)), None
    if items and all(isinstance(item, Optimizer) for item in items):
        return items, [], None
    raise MisconfigurationError(
        "configure_optimizers returned a form that is not known: return an optimizer, a"
        " list of them, ([optimizers], [schedulers]), or a dict with 'optimizer' and"
        " 'lr_scheduler'."
    )


def _check_keys(given: Mapping[str, Any], known: set[str]) -> None:
    if extra := set(given) - known:
        rank_zero_warn(
            f"configure_optimizers returned keys that mean nothing: {sorted(extra)};"
            f" known are {sorted(known)}."
        )


def _make_config(item: Any, monitor: str | None) -> SchedulerConfig:
    """A scheduler, or a dict of one and when it steps, as a configuration."""
    given = item if isinstance(item, Mapping) else {"scheduler": item}
    known = {field.name for field in fields(SchedulerConfig)}
    _check_keys(given, known)
    if "scheduler" not in given:
        raise MisconfigurationError("The dict for lr_scheduler has no key 'scheduler'.")
    config = SchedulerConfig(**{key: given[key] for key in known & set(given)})
    config.optimizer = getattr(config.scheduler, "optimizer", None)
    config.monitor = config.monitor or monitor
    if "reduce_on_plateau" not in given:
        config.reduce_on_plateau = isinstance(config.scheduler, ReduceLROnPlateau)
    return config


def _check_config(
    config: SchedulerConfig, optimizers: list[Optimizer], automatic: bool, own: bool
) -> None:
    """In manual mode the user steps: only the optimizer and the state matter."""
    scheduler, driven, wrong = config.scheduler, config.optimizer, ""
    if not hasattr(scheduler, "load_state_dict"):
        raise WrongTypeError(
            f"configure_optimizers returned a {type(scheduler).__name__} where a scheduler"
            " belongs, which has state_dict and load_state_dict."
        )
    if isinstance(driven, Optimizer) and driven not in optimizers:
        wrong = "drives an optimizer that configure_optimizers did not return"
    elif not automatic:
        return
    elif not (isinstance(scheduler, LRScheduler) or own):
        wrong = "is no scheduler of torch: override lr_scheduler_step, which steps it"
    elif config.interval not in ("epoch", "step"):
        wrong = f"has the interval {config.interval!r}: use 'epoch' or 'step'"
    elif not isinstance(config.frequency, int) or config.frequency < 1:
        wrong = f"has the frequency {config.frequency!r}: use a whole number from 1"
    elif config.reduce_on_plateau and config.monitor is None:
        wrong = (
            "needs a metric: add monitor='val_loss', or another name that you log, to the"
            " dict that configure_optimizers returns"
        )
    if wrong:
        raise MisconfigurationError(f"{type(scheduler).__name__} {wrong}.")
    if config.interval == "epoch" and isinstance(scheduler, OneCycleLR):
        rank_zero_warn(
            "OneCycleLR counts steps: interval='epoch' is seldom what is meant."
        )


def needs_closure(optimizer: Optimizer) -> bool:
    """Whether the optimizer evaluates the loss itself, as LBFGS does."""
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def trainable(optimizer: Optimizer | ManagedOptimizer) -> list[nn.Parameter]:
    """All parameters of an optimizer."""
    return [p for group in optimizer.param_groups for p in group["params"]]
