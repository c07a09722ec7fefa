"""What `self.log` records: values of a step, their reduction over an epoch, and their names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn

from scaffold_runtime.errors import MisconfigurationError

Reduce = Callable[[torch.Tensor, str], torch.Tensor]

_REDUCTIONS = {
    "mean": "mean",
    "avg": "mean",
    "sum": "sum",
    "min": "min",
    "max": "max",
    torch.mean: "mean",
    torch.sum: "sum",
    torch.min: "min",
    torch.max: "max",
    min: "min",
    max: "max",
    sum: "sum",
}


class LogRule(NamedTuple):
    """Where a hook may log, and what it does when the caller does not say.

    Attributes:
        on_step: default of `on_step`.
        on_epoch: default of `on_epoch`.
        step_allowed: a value of a single step makes sense there.
    """

    on_step: bool
    on_epoch: bool
    step_allowed: bool = True


_STEP = LogRule(on_step=True, on_epoch=False)
_EPOCH = LogRule(on_step=False, on_epoch=True)
_EPOCH_ONLY = LogRule(on_step=False, on_epoch=True, step_allowed=False)

_RULES_BY_HOOKS: dict[LogRule, tuple[str, ...]] = {
    _STEP: (
        "training_step",
        "on_train_batch_start",
        "on_train_batch_end",
        "on_before_zero_grad",
        "optimizer_zero_grad",
        "on_before_backward",
        "backward",
        "on_after_backward",
        "on_before_optimizer_step",
        "optimizer_step",
        "configure_gradient_clipping",
        "clip_gradients",
        "lr_scheduler_step",
    ),
    _EPOCH: (
        "validation_step",
        "on_validation_batch_start",
        "on_validation_batch_end",
        "test_step",
        "on_test_batch_start",
        "on_test_batch_end",
    ),
    _EPOCH_ONLY: (
        "on_train_start",
        "on_train_epoch_start",
        "on_train_epoch_end",
        "on_validation_start",
        "on_validation_epoch_start",
        "on_validation_epoch_end",
        "on_test_start",
        "on_test_epoch_start",
        "on_test_epoch_end",
    ),
}
LOG_RULES = {hook: rule for rule, hooks in _RULES_BY_HOOKS.items() for hook in hooks}


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


_STATE_KEYS = (
    "name",
    "suffix",
    "on_step",
    "on_epoch",
    "reduction",
    "dataloader_idx",
    "value",
    "total",
    "weight",
)


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
    value: torch.Tensor | None = None
    total: torch.Tensor | None = None
    weight: float = 0.0
    _computed: torch.Tensor | None = None

    def update(self, value: torch.Tensor, batch_size: int) -> None:
        """Take a value; `batch_size` weighs it in a mean."""
        self._computed = None
        if self.on_step:
            self.value = (
                value if self.sync is None else self.sync(value, self.reduction)
            )
            if not self.on_epoch:
                return
        if self.reduction == "mean":
            weighted = value * batch_size
            self.total = weighted if self.total is None else self.total + weighted
            self.weight += batch_size
        elif self.total is None:
            self.total = value
        elif self.reduction == "sum":
            self.total = self.total + value
        elif self.reduction == "min":
            self.total = torch.minimum(self.total, value)
        else:
            self.total = torch.maximum(self.total, value)

    def at_step(self) -> torch.Tensor | None:
        """The last step's value."""
        return self.value if self.on_step else None

    def at_epoch(self) -> torch.Tensor | None:
        """The epoch's value so far, reduced over ranks where asked."""
        if not self.on_epoch or self.total is None:
            return None
        if self._computed is None:
            self._computed = self._compute(self.total)
        return self._computed

    def _compute(self, total: torch.Tensor) -> torch.Tensor:
        if self.reduction != "mean":
            return total if self.sync is None else self.sync(total, self.reduction)
        weight = torch.tensor(self.weight, dtype=total.dtype, device=total.device)
        if self.sync is not None:
            total, weight = self.sync(total, "sum"), self.sync(weight, "sum")
        return total / weight

    def reset(self) -> None:
        """Forget everything that was logged."""
        self.value = self.total = self._computed = None
        self.weight = 0.0

    @property
    def updated(self) -> bool:
        """Something was logged since the last reset."""
        return self.value is not None or self.total is not None

    def state_dict(self) -> dict[str, Any]:
        """All that a run resumed in mid-epoch needs to make the entry again."""
        state = {key: getattr(self, key) for key in _STATE_KEYS}
        plain = self.arguments._replace(reduce_fx=self.reduction)
        return {**state, "arguments": list(plain)}


@dataclass
class MetricEntry(Entry):
    """A torchmetrics object: the user updates it, we compute it at the epoch's end."""

    metric: Any = None

    def update_metric(self, metric: Any) -> None:
        """Note that the metric was logged."""
        self.metric, self._computed = metric, None
        if self.on_step:
            self.value = metric._forward_cache
        self.total = torch.zeros(())

    def _compute(self, total: torch.Tensor) -> torch.Tensor:
        computed: torch.Tensor = self.metric.compute()
        return computed

    def reset(self) -> None:
        """Reset the user's metric as well."""
        super().reset()
        if self.metric is not None:
            self.metric.reset()


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
    entries: dict[tuple[str | None, str, int | None], Entry] = field(
        default_factory=dict
    )

    def log(
        self, name: str, value: Any, arguments: LogArguments, batch_size: int | None
    ) -> None:
        """Record one value.

        Raises:
            MisconfigurationError: the hook, the value or the arguments do not allow it.
        """
        index = self.dataloader_idx if arguments.add_dataloader_idx else None
        key = (self.hook, name, index)
        entry = self.entries.get(key)
        if entry is None:
            entry = self.entries[key] = self._new_entry(name, value, arguments)
        elif (
            entry.arguments != arguments or entry.dataloader_idx != self.dataloader_idx
        ):
            self._renew_arguments(entry, arguments)
        if not isinstance(entry, MetricEntry):
            if batch_size is None and entry.on_epoch and entry.reduction == "mean":
                batch_size = self.batch_size or self._find_batch_size()
            entry.update(self._as_scalar(name, value, arguments), batch_size or 1)
        else:
            entry.update_metric(value)

    def _renew_arguments(self, entry: Entry, arguments: LogArguments) -> None:
        """A checkpoint keeps a reduction by its name, and nothing else may differ."""
        reduction = _reduction(entry.name, arguments.reduce_fx)
        if entry.dataloader_idx != self.dataloader_idx:
            raise MisconfigurationError(
                f"{self.hook} logged {entry.name!r} for several loaders under one name:"
                " leave out add_dataloader_idx=False, or name each on its own."
            )
        if entry.arguments != arguments._replace(reduce_fx=reduction):
            raise MisconfigurationError(
                f"{self.hook} logged {entry.name!r} with other arguments than before: log"
                " one name always with the same ones."
            )
        entry.arguments = arguments

    def _new_entry(self, name: str, value: Any, arguments: LogArguments) -> Entry:
        rule = LOG_RULES.get(self.hook or "")
        if rule is None:
            raise MisconfigurationError(
                f"self.log cannot be called in {self.hook or 'this place'}: log in a step"
                " or in a hook of a batch or an epoch."
            )
        on_step = rule.on_step if arguments.on_step is None else arguments.on_step
        on_epoch = rule.on_epoch if arguments.on_epoch is None else arguments.on_epoch
        self._check(name, rule, on_step, on_epoch)
        is_metric = _is_metric(value)
        several = self.dataloader_idx is not None and arguments.add_dataloader_idx
        return (MetricEntry if is_metric else Entry)(
            name,
            f"/dataloader_idx_{self.dataloader_idx}" if several else "",
            arguments,
            on_step,
            on_epoch,
            _reduction(name, arguments.reduce_fx),
            self.dataloader_idx,
            self.reduce if arguments.sync_dist else None,
        )

    def _check(self, name: str, rule: LogRule, on_step: bool, on_epoch: bool) -> None:
        if not isinstance(name, str):
            raise MisconfigurationError(
                f"self.log takes a string as name, and {name!r} is none: give it a name."
            )
        if "/dataloader_idx_" in name:
            raise MisconfigurationError(
                f"The name {name!r} holds '/dataloader_idx_', which is added to names of"
                " several loaders: choose another, or log with add_dataloader_idx=False."
            )
        if on_step and not rule.step_allowed:
            raise MisconfigurationError(
                f"{self.hook} belongs to no step, so {name!r} cannot be logged there with"
                " on_step=True: use on_epoch=True."
            )
        if not on_step and not on_epoch:
            raise MisconfigurationError(
                f"self.log({name!r}, on_step=False, on_epoch=False) records nothing: drop"
                " one of the two, or the call."
            )
        if not on_epoch and not rule.step_allowed:
            raise MisconfigurationError(
                f"{self.hook} logs once an epoch, so {name!r} cannot be logged there with"
                " on_epoch=False: leave the argument out."
            )

    def _as_scalar(
        self, name: str, value: Any, arguments: LogArguments
    ) -> torch.Tensor:
        """A copy of a value with one element, in float32 at least, on the run's device."""
        if not isinstance(value, torch.Tensor):
            if not isinstance(value, (int, float)):
                raise MisconfigurationError(
                    f"self.log({name!r}, ...) got a {type(value).__name__}: log a number, a"
                    " tensor with one element, or a metric."
                )
            double = torch.get_default_dtype() is torch.float64
            dtype = torch.float64 if double else torch.float32
            return torch.tensor(value, dtype=dtype, device=self.device)
        if value.numel() != 1:
            raise MisconfigurationError(
                f"self.log({name!r}, ...) got a tensor of shape {tuple(value.shape)}: log a"
                " tensor with one element, for example its mean."
            )
        kept = value if arguments.enable_graph else value.detach()
        if kept.dtype not in (torch.float32, torch.float64):
            kept = kept.float()
        return kept.clone().reshape(())

    def _find_batch_size(self) -> int:
        self.batch_size = find_batch_size(self.batch)
        return self.batch_size

    def start_batch(self, batch: Any) -> None:
        """Begin a batch: its size is looked for when it is needed."""
        self.batch, self.batch_size = batch, None

    # --- reading ----------------------------------------------------------------------

    def metrics(self, on_step: bool) -> Metrics:
        """All current metrics, with the names that a fork into step and epoch gives them."""
        found = Metrics({}, {}, {})
        for entry in self.entries.values():
            if on_step and entry.dataloader_idx != self.dataloader_idx:
                continue
            value = entry.at_step() if on_step else entry.at_epoch()
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
            entry.reset()
        self.entries.clear()
        self.start_batch(None)
        self.dataloader_idx = self.hook = None

    # --- state ------------------------------------------------------------------------

    def state_dict(
        self, module: nn.Module, evaluation: MetricRecorder
    ) -> dict[str, Any]:
        """What a run resumed in mid-epoch needs: all entries, and the module's metrics.

        Those that `evaluation` has logged are reset before they are used again.
        """
        stale = {id(getattr(e, "metric", None)) for e in evaluation.entries.values()}
        names = {id(child): name for name, child in module.named_modules()}
        return {
            "entries": [
                {**entry.state_dict(), "hook": hook, "metric": names.get(id(metric))}
                for (hook, _, _), entry in self.entries.items()
                if entry.updated
                and (
                    (metric := getattr(entry, "metric", None)) is None
                    or id(metric) in names
                )
            ],
            "metrics": {
                name: {"state": child.metric_state, "updates": child._update_count}
                for name, child in module.named_modules()
                if _is_metric(child) and id(child) not in stale
            },
        }

    def load_state_dict(self, state: Mapping[str, Any], module: nn.Module) -> None:
        """Take over a state; torchmetrics objects are found by their names in the module."""
        children = dict(module.named_modules())
        for name, saved in state["metrics"].items():
            for key, value in saved["state"].items():
                setattr(children[name], key, move_tensors(value, self.device))
            children[name]._update_count = saved["updates"]
        for saved in state["entries"]:
            self._restore_entry(dict(saved), children)

    def _restore_entry(
        self, saved: dict[str, Any], children: Mapping[str, nn.Module]
    ) -> None:
        hook, metric = saved.pop("hook"), saved.pop("metric")
        arguments = LogArguments(*saved.pop("arguments"))
        sync = self.reduce if arguments.sync_dist else None
        for key in ("value", "total"):
            saved[key] = move_tensors(saved[key], self.device)
        if metric is None:
            entry = Entry(**saved, arguments=arguments, sync=sync)
        else:
            entry = MetricEntry(
                **saved, metric=children[metric], arguments=arguments, sync=sync
            )
        self.entries[hook, entry.name, entry.dataloader_idx] = entry


def move_tensors(value: Any, device: torch.device) -> Any:
    """A tensor, or those of a list, on a device; anything else as it is."""
    if isinstance(value, list):
        return [move_tensors(item, device) for item in value]
    return value.to(device) if isinstance(value, torch.Tensor) else value


def _reduction(name: str, reduce_fx: Any) -> str:
    try:
        return _REDUCTIONS[reduce_fx]
    except (KeyError, TypeError):
        raise MisconfigurationError(
            f"self.log({name!r}, reduce_fx={reduce_fx!r}) is not supported: choose mean,"
            " sum, min or max, or log a torchmetrics object."
        ) from None


def _is_metric(value: Any) -> bool:
    """Whether a value is a torchmetrics object; without the package none can be."""
    torchmetrics = sys.modules.get("torchmetrics")
    return torchmetrics is not None and isinstance(value, torchmetrics.Metric)


def find_batch_size(batch: Any) -> int:
    """Size of the first dimension of the first tensor in a batch of any nesting; else 1."""
    for tensor in _tensors(batch):
        return int(tensor.shape[0]) if tensor.dim() else 1
    return 1


def _tensors(batch: Any) -> Iterator[torch.Tensor]:
    if isinstance(batch, torch.Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from _tensors(value)
    elif isinstance(batch, (list, tuple)):
        for value in batch:
            yield from _tensors(value)
    elif hasattr(batch, "__dataclass_fields__"):
        yield from _tensors(list(vars(batch).values()))
