"""What `self.log` records: values of a step, their reduction over an epoch, and their names."""

from __future__ import annotations

import numbers
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import torch
from torch import nn

from scaffold_runtime.engine import move_batch
from scaffold_runtime.errors import MisconfigurationError, WrongTypeError

Reduce = Callable[[torch.Tensor, str], torch.Tensor]
Key = tuple[str | None, str, int | None]  # of an entry: hook, name, loader

# How each reduction takes a new value into that of the epoch so far.
_COMBINE: dict[str, Callable[..., torch.Tensor]] = {
    "mean": torch.add,
    "sum": torch.add,
    "min": torch.minimum,
    "max": torch.maximum,
}
# What `reduce_fx` may be: a reduction's name, or the function of torch or Python.
_REDUCTIONS: dict[Any, str] = {
    "avg": "mean",
    **{name: name for name in _COMBINE},
    **{getattr(torch, name): name for name in _COMBINE},
    **{function: function.__name__ for function in (min, max, sum)},
}


# The hooks that may log, of which the last ones belong to no step.
_IN_A_TRAINING_STEP = {
    "on_train_batch_start",
    "training_step",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "optimizer_step",
    "on_before_optimizer_step",
    "configure_gradient_clipping",
    "on_train_batch_end",
}
_IN_AN_EVALUATION_STEP = {
    hook.format(stage)
    for stage in ("validation", "test")
    for hook in ("on_{}_batch_start", "{}_step", "on_{}_batch_end")
}
_AROUND_STEPS = {
    hook.format(stage)
    for stage in ("train", "validation", "test")
    for hook in ("on_{}_start", "on_{}_epoch_start", "on_{}_epoch_end")
}


class LogArguments(NamedTuple):
    """The arguments of one `log` call that must stay the same from call to call."""

    prog_bar: bool
    logger: bool
    on_step: bool | None
    on_epoch: bool | None
    reduce_fx: Any
    enable_graph: bool
    sync_dist: bool
    add_dataloader_idx: bool


class Metrics(NamedTuple):
    """Metrics by who reads them: callbacks, loggers, the progress bar."""

    callback: dict[str, torch.Tensor]
    log: dict[str, torch.Tensor]
    pbar: dict[str, torch.Tensor]


@dataclass
class Entry:
    """One logged name: its last value and what the epoch has gathered.

    Attributes:
        name: the name as logged.
        suffix: `/dataloader_idx_N` where several loaders are evaluated.
        sync: reduces over ranks, where asked.
        metric: a torchmetrics object: the user updates it, it reduces the epoch itself.
        value: of the last step, reduced over ranks where asked; None before the first.
        total: sum (weighted for a mean), minimum or maximum of the epoch so far.
        weight: sum of the batch sizes, for a mean.
    """

    name: str
    suffix: str
    arguments: LogArguments
    on_step: bool
    on_epoch: bool
    reduction: str
    dataloader_idx: int | None
    sync: Reduce | None
    metric: Any = None
    value: torch.Tensor | None = None
    total: torch.Tensor | None = None
    weight: float = 0.0
    _computed: torch.Tensor | None = None

    @property
    def meaning(self) -> LogArguments:
        """What the arguments come to in this hook, in whichever way they say it."""
        return self.arguments._replace(
            on_step=self.on_step,
            on_epoch=self.on_epoch,
            reduce_fx=self.reduction,
            sync_dist=self.sync is not None,
        )

    def update(self, value: torch.Tensor, batch_size: int) -> None:
        """Take a value; `batch_size` weighs it in a mean."""
        self._computed = None
        if self.on_step:
            sync = self.sync
            self.value = value if sync is None else sync(value, self.reduction)
            if not self.on_epoch:
                return
        if self.reduction == "mean":
            value = value * batch_size
            self.weight += batch_size
        combine = _COMBINE[self.reduction]
        self.total = value if self.total is None else combine(self.total, value)

    def update_metric(self, metric: Any) -> None:
        """Note that a torchmetrics object was logged."""
        self.metric, self._computed = metric, None
        if self.on_step:
            self.value = metric._forward_cache
        self.total = torch.zeros(())

    def at_epoch(self) -> torch.Tensor | None:
        """The epoch's value so far, reduced over ranks where asked."""
        if not self.on_epoch or self.total is None:
            return None
        if self._computed is None:
            self._computed = self._compute(self.total)
        return self._computed

    def _compute(self, total: torch.Tensor) -> Any:
        if self.metric is not None:
            return self.metric.compute()
        if self.reduction != "mean":
            return total if self.sync is None else self.sync(total, self.reduction)
        weight = torch.tensor(self.weight, dtype=total.dtype, device=total.device)
        if self.sync is not None:
            total, weight = self.sync(total, "sum"), self.sync(weight, "sum")
        return total / weight

    def state_dict(self) -> dict[str, Any]:
        """All that a run resumed in mid-epoch needs to make the entry again."""
        passing = ("sync", "metric", "_computed")
        names = [own.name for own in fields(self) if own.name not in passing]
        own = {name: getattr(self, name) for name in names}
        return own | {"arguments": [*self.meaning]}


@dataclass
class MetricRecorder:
    """All that one stage of a run logs.

    The loops keep `hook`, `batch` and `dataloader_idx` up to date; `log` needs them for its
    defaults, its weights and its names.

    Attributes:
        training: it belongs to the training loop.
        reduce: all-reduce over ranks, None for one process.
        device: where numbers become tensors.
        hook: the hook that runs now; None where logging is not allowed.
        batch: the batch that is being worked on.
        batch_size: its size, once somebody has asked.
        dataloader_idx: which of several evaluation loaders it came from.
    """

    training: bool
    reduce: Reduce | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    hook: str | None = None
    batch: Any = None
    batch_size: int | None = None
    dataloader_idx: int | None = None
    entries: dict[Key, Entry] = field(default_factory=dict)

    def log(
        self, name: str, value: Any, arguments: LogArguments, batch_size: int | None
    ) -> None:
        """Record one value.

        Raises:
            MisconfigurationError: the hook, the value or the arguments do not allow it.
        """
        loader = self.dataloader_idx
        key = (self.hook, name, loader if arguments.add_dataloader_idx else None)
        entry = self.entries.get(key)
        if entry is None:
            entry = self.entries[key] = self._new_entry(name, value, arguments)
        elif entry.arguments != arguments or entry.dataloader_idx != loader:
            self._renew_arguments(entry, arguments)
        if entry.metric is None:
            if batch_size is None and entry.on_epoch and entry.reduction == "mean":
                if self.batch_size is None and self.batch is not None:
                    self.batch_size = find_batch_size(self.batch)
                if self.batch_size is None and self.batch is not None:
                    raise MisconfigurationError(
                        f"The mean of {name!r} is weighted by batch size, and there is no"
                        f" tensor in the batch: call self.log({name!r}, ..., batch_size=n)."
                    )
                batch_size = self.batch_size
            scalar = self._as_scalar(name, value, arguments.enable_graph)
            entry.update(scalar, 1 if batch_size is None else batch_size)
        elif _is_metric(value):
            entry.update_metric(value)
        else:
            raise MisconfigurationError(
                f"{self.hook} logged {name!r} as a metric before, and as a number now."
            )

    def _renew_arguments(self, entry: Entry, arguments: LogArguments) -> None:
        """Take arguments that say the same in another way, and refuse any others."""
        if entry.dataloader_idx != self.dataloader_idx:
            raise MisconfigurationError(
                f"{self.hook} logged {entry.name!r} for several loaders under one name:"
                " leave out add_dataloader_idx=False, or name each on its own."
            )
        again = self._new_entry(entry.name, entry.metric, arguments)
        if again.meaning != entry.meaning:
            raise MisconfigurationError(
                f"{self.hook} logged {entry.name!r} with other arguments than before."
            )
        entry.arguments = arguments

    def _new_entry(self, name: str, value: Any, arguments: LogArguments) -> Entry:
        in_training = self.hook in _IN_A_TRAINING_STEP
        around = self.hook in _AROUND_STEPS
        if not (in_training or around or self.hook in _IN_AN_EVALUATION_STEP):
            raise MisconfigurationError(
                f"self.log cannot be called in {self.hook or 'this place'}: log in a step"
                " or in a hook of a batch or an epoch."
            )
        on_step = in_training if arguments.on_step is None else arguments.on_step
        on_epoch = not in_training if arguments.on_epoch is None else arguments.on_epoch
        if not isinstance(name, str):
            raise WrongTypeError(f"self.log({name!r}, ...): the name must be a string.")
        wrong = ""
        if arguments.add_dataloader_idx and "/dataloader_idx_" in name:
            wrong = "'/dataloader_idx_' is added for you"
        elif not on_step and not on_epoch:
            wrong = "with neither on_step nor on_epoch it records nothing"
        elif around and (on_step or not on_epoch):
            wrong = f"{self.hook} belongs to no step: leave on_step and on_epoch out"
        if wrong:
            raise MisconfigurationError(f"self.log({name!r}, ...): {wrong}.")
        several = self.dataloader_idx is not None and arguments.add_dataloader_idx
        return Entry(
            name,
            f"/dataloader_idx_{self.dataloader_idx}" if several else "",
            arguments,
            on_step,
            on_epoch,
            _reduction(name, arguments.reduce_fx),
            self.dataloader_idx,
            self.reduce if arguments.sync_dist else None,
            value if _is_metric(value) else None,
        )

    def _as_scalar(self, name: str, value: Any, enable_graph: bool) -> torch.Tensor:
        """A copy of a value with one element, in float32 at least, on the run's device."""
        if isinstance(value, torch.Tensor) and value.numel() == 1:
            kept = value if enable_graph else value.detach()
            if kept.dtype not in (torch.float32, torch.float64):
                kept = kept.float()
            return kept.clone().reshape(())
        if isinstance(value, numbers.Number):
            dtype = torch.promote_types(torch.get_default_dtype(), torch.float32)
            return torch.tensor(value, dtype=dtype, device=self.device)
        shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
        raise MisconfigurationError(
            f"self.log({name!r}, ...) got a {type(value).__name__}{shape}: log a number, a"
            " tensor with one element (for example a mean), or a metric."
        )

    # --- reading ----------------------------------------------------------------------

    def metrics(self, on_step: bool) -> Metrics:
        """All current metrics, with the names that a fork into step and epoch gives them."""
        found = Metrics({}, {}, {})
        for entry in self.entries.values():
            if on_step and entry.dataloader_idx != self.dataloader_idx:
                continue
            value = entry.value if on_step else entry.at_epoch()
            if value is None:
                continue
            forked = entry.name
            if entry.on_step and entry.on_epoch:
                forked += "_step" if on_step else "_epoch"
            forked += entry.suffix
            if entry.arguments.logger:
                found.log[forked] = value
            if self.training or (entry.on_epoch and not on_step):
                found.callback[entry.name + entry.suffix] = value
                found.callback[forked] = value
            if entry.arguments.prog_bar:
                found.pbar[forked] = value
        return found

    def of_loader(self, index: int | None) -> Iterator[str]:
        """Names of the epoch metrics of one evaluation loader, forks and suffix included."""
        for entry in self.entries.values():
            if entry.on_epoch and entry.dataloader_idx in (None, index):
                fork = "_epoch" if entry.on_step else ""
                yield entry.name + fork + entry.suffix

    def reset(self) -> None:
        """Forget everything that was logged."""
        for entry in self.entries.values():
            if entry.metric is not None:
                entry.metric.reset()
        self.entries.clear()
        self.batch = self.batch_size = self.dataloader_idx = self.hook = None

    # --- state ------------------------------------------------------------------------

    def state_dict(
        self, module: nn.Module, evaluation: MetricRecorder
    ) -> dict[str, Any]:
        """What a run resumed in mid-epoch needs: all entries, and the module's metrics.

        Those that `evaluation` has logged are reset before they are used again.
        """
        stale = {id(entry.metric) for entry in evaluation.entries.values()}
        children = dict(module.named_modules())
        names: dict[int, str | None] = {id(c): name for name, c in children.items()}
        names[id(None)] = None
        return {
            "entries": [
                {**entry.state_dict(), "hook": hook, "metric": names[id(entry.metric)]}
                for (hook, _, _), entry in self.entries.items()
                if id(entry.metric) in names
            ],
            "metrics": {
                name: {"state": child.metric_state, "updates": child._update_count}
                for name, child in children.items()
                if _is_metric(child) and id(child) not in stale
            },
        }

    def load_state_dict(self, state: Mapping[str, Any], module: nn.Module) -> None:
        """Take over a state; torchmetrics objects are found by their names in the module."""
        children = dict(module.named_modules())
        for name, saved in state["metrics"].items():
            for key, value in saved["state"].items():
                setattr(children[name], key, move_batch(value, self.device))
            children[name]._update_count = saved["updates"]
        for saved in move_batch(state["entries"], self.device):
            arguments = LogArguments(*saved.pop("arguments"))
            hook, metric = saved.pop("hook"), saved.pop("metric")
            sync = self.reduce if arguments.sync_dist else None
            own = None if metric is None else children[metric]
            entry = Entry(**saved, arguments=arguments, sync=sync, metric=own)
            self.entries[hook, entry.name, entry.dataloader_idx] = entry


def _reduction(name: str, reduce_fx: Any) -> str:
    try:
        key = reduce_fx.lower() if isinstance(reduce_fx, str) else reduce_fx
        return _REDUCTIONS[key]
    except (KeyError, TypeError):
        raise MisconfigurationError(
            f"self.log({name!r}, reduce_fx={reduce_fx!r}) is not supported: choose mean,"
            " sum, min or max, or log a torchmetrics object."
        ) from None


def _is_metric(value: Any) -> bool:
    """Whether a value is a torchmetrics object; without the package none can be."""
    torchmetrics = sys.modules.get("torchmetrics")
    return torchmetrics is not None and isinstance(value, torchmetrics.Metric)


def find_batch_size(batch: Any) -> int | None:
    """Size of the first dimension of the first tensor in a batch of any nesting."""
    if isinstance(batch, torch.Tensor):
        return int(batch.shape[0]) if batch.dim() else 1
    if isinstance(batch, Mapping):
        batch = batch.values()
    elif hasattr(batch, "__dataclass_fields__"):
        batch = vars(batch).values()
    elif isinstance(batch, (str, bytes, Iterator)) or not isinstance(batch, Iterable):
        return None
    for part in batch:
        if (size := find_batch_size(part)) is not None:
            return size
    return None
