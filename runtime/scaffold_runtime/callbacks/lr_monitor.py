"""`LearningRateMonitor`: log the learning rates, and momentum and weight decay too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.optim import Optimizer

from scaffold_runtime.callback import Callback
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.launch import rank_zero_warn
from scaffold_runtime.refusal import refuse_if, refuse_unless_one_of

if TYPE_CHECKING:
    from scaffold_runtime import Module, Trainer


class LearningRateMonitor(Callback):
    """Log each optimizer's learning rate under `lr-<optimizer>`.

    A second optimizer of the class gets `-1`, parameter groups `/pg1`, `/pg2` or their
    own `name`; a scheduler's configured `name` takes the place of `lr-<optimizer>`.

    Args:
        logging_interval: `"step"` or `"epoch"`; None follows each scheduler's interval.
        log_momentum: log momentum, or Adam's first beta, under `<name>-momentum`.
        log_weight_decay: log weight decay under `<name>-weight_decay`.

    Attributes:
        lrs: all learning rates logged so far, by name.
        last_momentum_values: newest momentum by name, None before any was logged.
        last_weight_decay_values: the same of weight decay.

    Raises:
        MisconfigurationError: an unknown interval; at the start of training: no logger,
            or two parameter groups of one name in an optimizer.
    """

    def __init__(
        self,
        logging_interval: Literal["step", "epoch"] | None = None,
        log_momentum: bool = False,
        log_weight_decay: bool = False,
    ) -> None:
        choices = ("step", "epoch", None)
        refuse_unless_one_of(self, *choices, logging_interval=logging_interval)
        self.logging_interval = logging_interval
        self.log_momentum, self.log_weight_decay = log_momentum, log_weight_decay
        self.lrs: dict[str, list[float]] = {}
        self.last_momentum_values: dict[str, float | None] = {}
        self.last_weight_decay_values: dict[str, float | None] = {}

    def on_train_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Find the names."""
        refuse_if(self, not trainer.loggers, "no logger: leave logger=False out")
        defaults = [optimizer.defaults.keys() for optimizer in trainer.optimizers]
        if self.log_momentum and not all({"momentum", "betas"} & d for d in defaults):
            rank_zero_warn(
                "LearningRateMonitor(log_momentum=True): an optimizer has no momentum,"
                " 0 is logged for it.",
                category=RuntimeWarning,
            )
        names = [name for _, _, names in _named_optimizers(trainer) for name in names]
        self.lrs = {name: [] for name in names}
        self.last_momentum_values = {f"{name}-momentum": None for name in names}
        self.last_weight_decay_values = {f"{name}-weight_decay": None for name in names}

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Log what changes by step, at the steps that are logged at all."""
        if self.logging_interval != "epoch" and trainer.logs_step:
            self._log(trainer, "step")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Log what changes by epoch."""
        if self.logging_interval != "step":
            self._log(trainer, "epoch")

    def _log(self, trainer: Trainer, interval: str) -> None:
        """Send the values of the optimizers whose scheduler has this interval."""
        values: dict[str, float] = {}
        for optimizer, scheduled, names in _named_optimizers(trainer):
            if self.logging_interval or scheduled in (None, interval):
                for group, name in zip(optimizer.param_groups, names, strict=True):
                    values.update(self._read(group, name))
        trainer.callback_metrics.update({n: torch.tensor(v) for n, v in values.items()})
        for logger in trainer.loggers if values else ():
            logger.log_metrics(values, step=trainer.progress.batches_that_stepped)

    def _read(self, group: dict[str, Any], name: str) -> dict[str, float]:
        """The values of one parameter group, recorded on the way."""
        values = {name: float(group["lr"])}
        former = name.removesuffix("/pg1")
        if former != name and former in self.lrs:  # the optimizer got a second group
            self.lrs[name] = self.lrs.pop(former)
        self.lrs.setdefault(name, []).append(values[name])
        if self.log_momentum:
            momentum = group.get("betas", (group.get("momentum", 0),))[0]
            key = f"{name}-momentum"
            values[key] = self.last_momentum_values[key] = momentum
        if self.log_weight_decay:
            key = f"{name}-weight_decay"
            decay = values[key] = group.get("weight_decay", 0)
            self.last_weight_decay_values[key] = decay
        return values


Named = tuple[Optimizer, str | None, list[str]]


def _named_optimizers(trainer: Trainer) -> Iterator[Named]:
    """Each optimizer with its scheduler's interval (None without) and group names."""
    configs = trainer.lr_scheduler_configs
    scheduled = [(own.scheduler.optimizer, own.interval, own.name) for own in configs]
    seen = {id(optimizer) for optimizer, _, _ in scheduled}
    others = [(o, None, None) for o in trainer.optimizers if id(o) not in seen]
    counts: Counter[type[Optimizer]] = Counter()
    for optimizer, interval, name in [*scheduled, *others]:
        kind = type(optimizer)
        counts[kind] += name is None
        base = name or f"lr-{kind.__name__}"
        if counts[kind] > 1:
            base += f"-{counts[kind] - 1}"
        yield optimizer, interval, _group_names(base, optimizer.param_groups)


def _group_names(base: str, groups: list[dict[str, Any]]) -> list[str]:
    """Names of an optimizer's parameter groups.

    Raises:
        MisconfigurationError: two groups have one name.
    """
    if len(groups) == 1 and "name" not in groups[0]:
        return [base]
    own = [group.get("name", f"pg{i}") for i, group in enumerate(groups, start=1)]
    repeated = {name for name in own if own.count(name) > 1}
    if repeated:
        raise MisconfigurationError(
            f"{base} has several parameter groups named {sorted(repeated)}: give each"
            " its own name."
        )
    return [f"{base}/{name}" for name in own]
