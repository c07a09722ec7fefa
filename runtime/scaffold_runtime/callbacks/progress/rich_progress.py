"""`RichProgressBar`: progress drawn by rich, imported when it is first shown."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from torch import Tensor

from scaffold_runtime.callbacks.progress.display import LineDisplay
from scaffold_runtime.callbacks.progress.layout import GAP, Task, arrange
from scaffold_runtime.callbacks.progress.progress_bar import ProgressBar
from scaffold_runtime.progress import Phase

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live
    from rich.text import Text

    from scaffold_runtime.module import Module
    from scaffold_runtime.trainer import Trainer


@dataclass(frozen=True)
class RichProgressBarTheme:
    """Styles of the parts of a bar, as rich names them.

    Attributes:
        description: style of what is going on.
        progress_bar: style of the bar's done part.
        progress_bar_finished: style of a bar that is done.
        progress_bar_pulse: style of a bar of unknown length.
        batch_progress: style of the number of batches.
        time: style of time gone and time left.
        processing_speed: style of the rate.
        metrics: style of the metrics.
        metrics_text_delimiter: what stands between two metrics.
        metrics_format: format of a metric's number.
    """

    description: str = ""
    progress_bar: str = "#6206E0"
    progress_bar_finished: str = "#6206E0"
    progress_bar_pulse: str = "#6206E0"
    batch_progress: str = ""
    time: str = "dim"
    processing_speed: str = "dim"
    metrics: str = "italic"
    metrics_text_delimiter: str = GAP
    metrics_format: str = ".3g"


class RichProgressBar(ProgressBar):
    """A bar with rate, time left and metrics that reads well at any terminal width.

    Where the output is no terminal (and no notebook), plain lines every few seconds.
    Between two draws a step costs one Python call, and metrics are fetched, which waits
    for the device, only to be drawn.

    Args:
        refresh_rate: draw at most so many times a second; 0 disables the bar.
        leave: keep each epoch's finished bar to be seen.
        theme: styles of the parts.
        console_kwargs: arguments for rich's `Console`.
    """

    def __init__(
        self,
        refresh_rate: int = 10,
        leave: bool = False,
        theme: RichProgressBarTheme = RichProgressBarTheme(),
        console_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.refresh_rate, self.theme = refresh_rate, theme
        self._leave, self._console_kwargs = leave, console_kwargs or {}
        self._enabled = True
        self._display: LineDisplay | RichDisplay | None = None
        self._tasks: list[Task] = []
        self._completed = self._train_batches = 0
        self._next_draw = 0.0

    def _open_display(self) -> LineDisplay | RichDisplay:
        """What to draw on: a terminal or a notebook, else lines."""
        notebook = "ipykernel" in sys.modules
        if self._console_kwargs or notebook or sys.stdout.isatty():
            from rich.console import Console

            console = Console(**self._console_kwargs)
            if console.is_terminal or console.is_jupyter:
                return RichDisplay(console, self.theme, 1 / self.refresh_rate)
        return LineDisplay()

    @property
    def is_enabled(self) -> bool:
        """Whether anything is shown."""
        return self._enabled and self.refresh_rate > 0

    @property
    def is_disabled(self) -> bool:
        """Whether nothing is shown."""
        return not self.is_enabled

    def disable(self) -> None:
        """Show nothing from now on."""
        self._enabled = False
        self._next_draw = math.inf

    def enable(self) -> None:
        """Show progress again."""
        self._enabled = True
        self._next_draw = 0.0

    def _begin(self, description: str, total: float, completed: int = 0) -> None:
        """Show a new task; the one before waits."""
        if self.is_enabled:
            self._display = self._display or self._open_display()
        if self._tasks:
            self._tasks[-1].advance(self._completed, monotonic())
        self._tasks.append(Task(description, total, completed=completed))
        self._next_draw = 0.0 if self.is_enabled else math.inf

    def _draw(self, trainer: Trainer, pl_module: Module, completed: int) -> None:
        """Fetch the metrics and draw; plan the next time."""
        assert self._display is not None
        task = self._tasks[-1]
        task.advance(completed, monotonic())
        task.metrics = _as_numbers(self.get_metrics(trainer, pl_module))
        self._display.draw(self._tasks)
        self._next_draw = monotonic() + self._display.interval

    def _finish(self, trainer: Trainer, pl_module: Module, leave: bool) -> None:
        """End the task at work; one within another gives way to it."""
        task = self._tasks.pop()
        self._next_draw = 0.0 if self.is_enabled else math.inf
        if self._tasks:
            self._tasks[-1].resume(monotonic())
        elif self._display is not None and not trainer.sanity_checking:
            task.advance(self._completed, monotonic())
            task.metrics = _as_numbers(self.get_metrics(trainer, pl_module))
            self._display.finish(task, leave)

    def _close(self) -> None:
        if self._display is not None:
            self._display.close()
        self._display = None
        self._tasks.clear()

    def on_train_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Go on with the epoch of a run that is resumed in the middle of it."""
        progress = trainer.progress
        if progress.batch and progress.phase != Phase.EPOCH_DONE:
            self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Begin an epoch, or the rest of one."""
        self._completed = trainer.progress.batch
        epoch, epochs = str(trainer.current_epoch), trainer.max_epochs or -1
        if epochs > 0:
            epoch += f"/{epochs - 1}"
        self._begin(f"Epoch {epoch}", self.total_train_batches, self._completed)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: Module,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Draw if it is time."""
        self._completed = batch_idx + 1
        if monotonic() >= self._next_draw:
            self._draw(trainer, pl_module, batch_idx + 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Show the epoch with its metrics."""
        self._finish(trainer, pl_module, leave=self._leave)

    def on_validation_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Begin a validation, under the epoch it belongs to, or the sanity check."""
        if trainer.sanity_checking:
            counts = trainer.num_sanity_val_batches
            self._begin_evaluation(self.sanity_check_description, counts)
        else:
            self._begin_evaluation(self.validation_description, trainer.num_val_batches)

    def on_validation_end(self, trainer: Trainer, pl_module: Module) -> None:
        """End an evaluation."""
        self._finish(trainer, pl_module, leave=True)
        self._completed = self._train_batches

    on_test_end = on_predict_end = on_validation_end

    def on_test_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Begin a test."""
        self._begin_evaluation(self.test_description, trainer.num_test_batches)

    def on_predict_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Begin a prediction."""
        self._begin_evaluation(self.predict_description, trainer.num_predict_batches)

    def _begin_evaluation(self, description: str, batches: list[int | float]) -> None:
        self._batches_before = [0.0, *itertools.accumulate(batches)]
        self._begin(description, self._batches_before[-1])
        self._train_batches, self._completed = self._completed, 0

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: Module,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw if it is time."""
        self._completed = int(self._batches_before[dataloader_idx]) + batch_idx + 1
        if monotonic() >= self._next_draw:
            self._draw(trainer, pl_module, self._completed)

    on_test_batch_end = on_predict_batch_end = on_validation_batch_end

    def on_exception(
        self, trainer: Trainer, pl_module: Module, exception: BaseException
    ) -> None:
        """Give the terminal back."""
        self._close()

    def teardown(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Leave the last state to be seen."""
        self._close()

    def __getstate__(self) -> dict[str, Any]:
        """Without the display, which holds the terminal."""
        return {**self.__dict__, "_display": None, "_tasks": []}


class TQDMProgressBar(RichProgressBar):
    """`RichProgressBar` under the name of Lightning's other bar; it needs no tqdm.

    Args:
        refresh_rate: 0 disables the bar.
        leave: keep each epoch's finished bar to be seen.
    """

    def __init__(self, refresh_rate: int = 1, leave: bool = False) -> None:
        super().__init__(refresh_rate=10 if refresh_rate else 0, leave=leave)


def _as_numbers(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics with tensors as Python numbers."""
    return {
        name: value.item() if isinstance(value, Tensor) else value
        for name, value in metrics.items()
    }


class RichDisplay:
    """Draws tasks in place at the end of a rich console.

    Args:
        console: where to draw.
        theme: styles of the parts.
        interval: seconds between two redraws.
    """

    def __init__(
        self, console: Console, theme: RichProgressBarTheme, interval: float
    ) -> None:
        self.interval = interval
        self._console = console
        self._theme = theme
        self._live: Live | None = None

    def draw(self, tasks: Sequence[Task]) -> None:
        """Redraw all tasks, one under the other."""
        from rich.console import Group
        from rich.live import Live

        if self._live is None:
            # Drawn by the loop alone: no thread of rich's that a fork could copy.
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        bars = [RichBar(task, self._theme) for task in tasks]
        self._live.update(Group(*bars), refresh=True)

    def finish(self, task: Task, leave: bool) -> None:
        """Redraw; with `leave` the bar stays above what follows."""
        self.draw([task])
        if leave:
            self.close()

    def close(self) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()
        self._live = None


class RichBar:
    """One task as rich renders it, at the width that the terminal has then."""

    def __init__(self, task: Task, theme: RichProgressBarTheme) -> None:
        self._task = task
        self._theme = theme

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        from rich.text import Text

        theme, width = self._theme, options.max_width
        numbers, delimiter = theme.metrics_format, theme.metrics_text_delimiter
        layout = arrange(self._task, width, numbers, delimiter)
        line = Text(layout.head, style=theme.description, overflow="fold")
        if layout.bar_width:
            line.append(GAP).append_text(self._bar(console, layout.bar_width))
        for kind, text in layout.tail:
            line.append(GAP).append(text, style=getattr(theme, kind))
        yield line
        for text in layout.below:
            yield Text(text, style=theme.metrics, overflow="fold")

    def _bar(self, console: Console, width: int) -> Text:
        """The bar alone."""
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        bar = ProgressBar(
            total=self._task.total if math.isfinite(self._task.total) else None,
            completed=self._task.completed,
            width=width,
            complete_style=self._theme.progress_bar,
            finished_style=self._theme.progress_bar_finished,
            pulse_style=self._theme.progress_bar_pulse,
        )
        segments = console.render(bar, console.options.update(width=width))
        return Text.assemble(
            *((s.text, s.style or "") for s in segments if s.text != "\n")
        )
