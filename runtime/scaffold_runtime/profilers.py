"""Where the time of a run goes. Without a profiler nothing is measured and nothing is paid.

The loops wrap what they call, once, when a run starts. Names of actions are Lightning's:
`[LightningModule]Net.training_step`, `[Callback]Timer.on_train_end`, `run_training_batch`.
"""

from __future__ import annotations

import io
import os
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch.autograd.profiler_util import EventList
from torch.nn.modules import module as torch_module
from torch.profiler import record_function

from scaffold_runtime.errors import MisconfigurationError, missing_name
from scaffold_runtime.launch import global_rank

if TYPE_CHECKING:
    from cProfile import Profile

Folder = str | Path | None


class Profiler(ABC):
    """Measures actions, each from its `start` to its `stop`; subclass it for your own.

    Args:
        dirpath: folder for files, by default that of the run's logs.
        filename: add the report to `<stage>-<filename>.txt` there, a file for each rank,
            rather than print that of rank 0.
    """

    def __init__(self, dirpath: Folder = None, filename: str | None = None) -> None:
        self.dirpath, self.filename = dirpath, filename
        self._stage, self._rank, self._log_dir = "", "", ""

    def setup(
        self, stage: str, local_rank: int | None = None, log_dir: str | None = None
    ) -> None:
        """A run begins.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.
            local_rank: this process among several, None alone.
            log_dir: folder of the run's logs.
        """
        self._stage, self._log_dir = stage, log_dir or ""
        self._rank = "" if local_rank is None else str(local_rank)

    @abstractmethod
    def start(self, action_name: str) -> None:
        """An action begins."""

    @abstractmethod
    def stop(self, action_name: str) -> None:
        """An action ends."""

    @contextmanager
    def profile(self, action_name: str) -> Iterator[str]:
        """Measure a block: `with self.trainer.profiler.profile("augment"):`."""
        self.start(action_name)
        try:
            yield action_name
        finally:
            self.stop(action_name)

    def wrap(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The function, measured under a name."""

        def measured(*args: Any, **kwargs: Any) -> Any:
            with self.profile(name):
                return function(*args, **kwargs)

        return measured

    def watch(self, items: Iterator[Any], name: str) -> Iterator[Any]:
        """The items, with the time that each is waited for."""
        nothing = object()
        fetch = self.wrap(next, name)
        while (item := fetch(items, nothing)) is not nothing:
            yield item

    def summary(self) -> str:
        """The report; empty where there is none."""
        return ""

    def describe(self) -> None:
        """Print the report, or write it to the file."""
        report = self.summary()
        if report and self.filename:
            with self._path(".txt").open("a", encoding="utf-8") as file:
                file.write(report)
        elif report and global_rank() == 0:
            print(f"{self._stage.upper()} Profiler Report\n\n{report}")

    def teardown(self, stage: str | None) -> None:  # noqa: B027
        """A run has ended, and `describe` was called."""

    def _path(self, ending: str) -> Path:
        folder = Path(self.dirpath or self._log_dir)
        folder.mkdir(parents=True, exist_ok=True)
        words = (self._stage, self.filename, self._rank)
        return folder / ("-".join(filter(None, words)) + ending)


class PassThroughProfiler(Profiler):
    """The profiler that is off: functions and iterators pass through it unchanged."""

    def start(self, action_name: str) -> None:
        """Measure nothing."""

    def stop(self, action_name: str) -> None:
        """Measure nothing."""

    def wrap(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        return function

    def watch(self, items: Iterator[Any], name: str) -> Iterator[Any]:
        return items


class SimpleProfiler(Profiler):
    """A table of actions, the slowest first.

    An action's time holds that of the actions inside it.

    Args:
        dirpath: see `Profiler`.
        filename: see `Profiler`.
        extended: add columns for the number of calls and the share of the whole time.

    Attributes:
        recorded_durations: seconds of each call, by action.
        current_actions: when the actions that run now began.
        start_time: when the profiler was made, in seconds of the monotonic clock.
    """

    def __init__(
        self, dirpath: Folder = None, filename: str | None = None, extended: bool = True
    ) -> None:
        super().__init__(dirpath, filename)
        self.extended = extended
        self.recorded_durations: dict[str, list[float]] = defaultdict(list)
        self.current_actions: dict[str, float] = {}
        self.start_time = time.monotonic()

    def start(self, action_name: str) -> None:
        """An action begins.

        Raises:
            ValueError: it runs already.
        """
        if action_name in self.current_actions:
            raise ValueError(f"The action {action_name!r} runs already: stop it first.")
        self.current_actions[action_name] = time.perf_counter()

    def stop(self, action_name: str) -> None:
        """An action ends.

        Raises:
            ValueError: it was not started.
        """
        end = time.perf_counter()
        if action_name not in self.current_actions:
            raise ValueError(f"The action {action_name!r} was not started.")
        began = self.current_actions.pop(action_name)
        self.recorded_durations[action_name].append(end - began)

    def summary(self) -> str:
        whole, recorded = time.monotonic() - self.start_time, self.recorded_durations
        totals = {name: sum(recorded[name]) for name in recorded}
        rows = [f"{'Action':<60} {'Mean (s)':>10} {'Total (s)':>10}"]
        if self.extended:
            rows[0] += f" {'Calls':>8} {'Share (%)':>10}"
        for name in sorted(recorded, key=totals.__getitem__, reverse=True):
            total, calls = totals[name], len(recorded[name])
            rows.append(f"{name:<60} {total / calls:>10.4g} {total:>10.4g}")
            if self.extended:
                rows[-1] += f" {calls:>8} {100 * total / whole:>10.4g}"
        return "\n".join([*rows, f"The whole: {whole:.4g} s", ""])


class AdvancedProfiler(Profiler):
    """What Python's own profiler says of each action: every function inside it.

    Python has room for one profiler at a time: while an action runs inside another, the
    outer one is not measured.

    Args:
        dirpath: see `Profiler`.
        filename: see `Profiler`.
        line_count_restriction: functions shown of each action, as a number or a share.
        dump_stats: write each action's numbers to a `.prof` file for `pstats`.

    Attributes:
        profiled_actions: Python's profile of each action.
    """

    def __init__(
        self,
        dirpath: Folder = None,
        filename: str | None = None,
        line_count_restriction: float = 1.0,
        dump_stats: bool = False,
    ) -> None:
        super().__init__(dirpath, filename)
        self.line_count_restriction = line_count_restriction
        self.dump_stats = dump_stats
        self.profiled_actions: dict[str, Profile] = {}
        self._running: list[Profile] = []

    def start(self, action_name: str) -> None:
        from cProfile import Profile

        if self._running:
            self._running[-1].disable()
        self._running.append(self.profiled_actions.setdefault(action_name, Profile()))
        self._running[-1].enable()

    def stop(self, action_name: str) -> None:
        """An action ends.

        Raises:
            ValueError: it was not started.
        """
        profile = self.profiled_actions.get(action_name)
        if profile not in self._running:
            raise ValueError(f"The action {action_name!r} was not started.")
        profile.disable()
        self._running.remove(profile)
        if self._running:
            self._running[-1].enable()

    def summary(self) -> str:
        import pstats

        report = io.StringIO()
        for name, profile in self.profiled_actions.items():
            report.write(f"Profile stats for: {name}\n")
            stats = pstats.Stats(profile, stream=report)
            if self.dump_stats:
                stats.dump_stats(self._path(f"-{name.replace(os.sep, '_')}.prof"))
            stats.strip_dirs().sort_stats("cumulative")
            stats.print_stats(self.line_count_restriction)
        return report.getvalue()

    def teardown(self, stage: str | None) -> None:
        self.profiled_actions.clear()


class PyTorchProfiler(Profiler):
    """torch's profiler: a table of operators, and a trace for `chrome://tracing` or Perfetto.

    One step of its schedule is a batch of the run's stage: of training in a fit.

    Args:
        dirpath: see `Profiler`; traces go there too, as `<stage>-<filename>.*.json`.
        filename: see `Profiler`.
        group_by_input_shapes: tell calls with other shapes of inputs apart.
        emit_nvtx: not supported.
        export_to_chrome: write the traces.
        row_limit: rows of the table; -1 is all.
        sort_by_key: column of the table to sort by, by default the total time.
        record_module_names: mark the forward pass of each submodule in the trace.
        table_kwargs: other arguments of torch's `EventList.table`.
        **profiler_kwargs: other arguments of `torch.profiler.profile`; `schedule` is by
            default one batch to warm up and three that are recorded; `on_trace_ready`
            is called in place of writing a trace.

    Raises:
        MisconfigurationError: an argument is unknown or cannot work.
    """

    AVAILABLE_SORT_KEYS: ClassVar = {"count"} | {
        f"{own}{device}_{what}"
        for device in ("cpu", "cuda", "xpu")
        for what in ("time", "time_total", "memory_usage")
        for own in ("", "self_")
        if what != "time" or not own
    }

    def __init__(
        self,
        dirpath: Folder = None,
        filename: str | None = None,
        group_by_input_shapes: bool = False,
        emit_nvtx: bool = False,
        export_to_chrome: bool = True,
        row_limit: int = 20,
        sort_by_key: str | None = None,
        record_module_names: bool = True,
        table_kwargs: dict[str, Any] | None = None,
        **profiler_kwargs: Any,
    ) -> None:
        super().__init__(dirpath, filename)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        sort_by_key = sort_by_key or f"{device}_time_total"
        if emit_nvtx:
            raise MisconfigurationError(
                "emit_nvtx=True is not supported: call trainer.fit within"
                " torch.autograd.profiler.emit_nvtx() instead."
            )
        if sort_by_key not in self.AVAILABLE_SORT_KEYS:
            raise MisconfigurationError(
                f"sort_by_key={sort_by_key!r} is unknown: use one of"
                f" {', '.join(sorted(self.AVAILABLE_SORT_KEYS))}."
            )
        self.export_to_chrome = export_to_chrome
        self.record_module_names = record_module_names
        self._table = {"sort_by": sort_by_key, "row_limit": row_limit}
        self._table |= table_kwargs or {}
        self._by_shapes = group_by_input_shapes
        self._own_export = profiler_kwargs.pop("on_trace_ready", None)
        self._options = {
            "schedule": torch.profiler.schedule(wait=0, warmup=1, active=3, repeat=1),
            "record_shapes": group_by_input_shapes,
            "on_trace_ready": self._keep_trace,
            **profiler_kwargs,
        }
        try:
            torch.profiler.profile(**self._options)
        except TypeError as error:
            raise MisconfigurationError(
                f"torch.profiler.profile cannot be made of {profiler_kwargs}: {error}."
            ) from None
        self._profile: torch.profiler.profile | None = None
        self._averages: EventList | None = None
        self._ranges: list[Any] = []
        self._module_hooks: list[Any] = []

    def setup(
        self, stage: str, local_rank: int | None = None, log_dir: str | None = None
    ) -> None:
        super().setup(stage, local_rank, log_dir)
        self._averages = None
        if self.record_module_names:
            self._module_hooks = [
                torch_module.register_module_forward_pre_hook(
                    lambda module, _: self.start(type(module).__qualname__)
                ),
                torch_module.register_module_forward_hook(
                    lambda module, *_: self.stop(type(module).__qualname__),
                    always_call=True,
                ),
            ]
        self._profile = torch.profiler.profile(**self._options)
        self._profile.start()

    def start(self, action_name: str) -> None:
        self._ranges.append(record_function(action_name))
        self._ranges[-1].__enter__()

    def stop(self, action_name: str) -> None:
        self._ranges.pop().__exit__(None, None, None)
        step = "training" if self._stage == "fit" else self._stage
        if self._profile is not None and action_name == f"run_{step}_batch":
            self._profile.step()

    def _keep_trace(self, profile: torch.profiler.profile) -> None:
        """One turn of the schedule is recorded."""
        self._averages = profile.key_averages(group_by_input_shape=self._by_shapes)
        if self._own_export is not None:
            self._own_export(profile)
        elif self.export_to_chrome:
            path = self._path("")
            save = torch.profiler.tensorboard_trace_handler(str(path.parent), path.name)
            save(profile)

    def summary(self) -> str:
        PyTorchProfiler.teardown(self, None)  # an override may ask for the summary
        if self._averages is None:
            return "Nothing was recorded: the schedule has no active step in so few batches.\n"
        return str(self._averages.table(**self._table))

    def teardown(self, stage: str | None) -> None:
        profile, self._profile = self._profile, None
        if profile is not None:
            profile.stop()
        while self._module_hooks:
            self._module_hooks.pop().remove()


PROFILERS: dict[str, type[Profiler]] = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
    "pytorch": PyTorchProfiler,
}


def make_profiler(profiler: Profiler | str | None) -> Profiler:
    """The profiler that a Trainer's argument names.

    Raises:
        MisconfigurationError: the word is unknown, or it is no profiler.
    """
    own = PassThroughProfiler() if profiler is None else profiler
    if isinstance(own, Profiler):
        return own
    if (word := str(own).lower()) not in PROFILERS:
        raise MisconfigurationError(
            f"profiler={profiler!r} is unknown: use {', '.join(map(repr, PROFILERS))}, or"
            " an object of scaffold_runtime.profilers."
        )
    return PROFILERS[word]()


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name, {"XLAProfiler": "use PyTorchProfiler"})


__all__ = [
    "AdvancedProfiler",
    "PassThroughProfiler",
    "Profiler",
    "PyTorchProfiler",
    "SimpleProfiler",
]
