"""`RichProgressBar`: progress drawn by rich, imported when it is first shown."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from time import monotonic
from typing import TYPE_CHECKING, Any

from torch import Tensor

from scaffold_runtime.callbacks.progress.display import LineDisplay
from scaffold_runtime.callbacks.progress.layout import GAP, Task, arrange
from scaffold_runtime.callbacks.progress.progress_bar import ProgressBar
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.refusal import refuse_if, refuse_unless

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from scaffold_runtime import Module, Trainer

REFUSED = {f"init_{stage}_tqdm" for stage in ("sanity", "train", "validation", "test")}
REFUSED |= {"init_predict_tqdm", "configure_columns"}


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

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in REFUSED & vars(cls).keys():
            raise MisconfigurationError(
                f"{cls.__name__}.{name} would never be called: override get_metrics for"
                " other values, give a theme, or subclass ProgressBar to draw yourself."
            )

    def __init__(
        self,
        refresh_rate: int = 10,
        leave: bool = False,
        theme: RichProgressBarTheme = RichProgressBarTheme(),
        console_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        refuse_unless(self, Real, "a number", refresh_rate=refresh_rate)
        self.refresh_rate, self.theme = refresh_rate, theme
        self._leave, self._console_kwargs = leave, console_kwargs or {}
        self._enabled, self._next_draw = True, 0.0
        self._interval, self._stride = 1 / (refresh_rate or 1), 1
        self._display: LineDisplay | RichDisplay | None = None
        self._tasks: list[Task] = []
        self._completed = 0

    def _open_display(self) -> LineDisplay | RichDisplay:
        """What to draw on: a terminal or a notebook, else lines."""
        notebook = "ipykernel" in sys.modules
        if self._console_kwargs or notebook or sys.stdout.isatty():
            from rich.console import Console

            console = Console(**self._console_kwargs)
            if console.is_terminal or console.is_jupyter:
                return RichDisplay(console, self.theme, self._interval)
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
        self._enabled, self._next_draw = False, math.inf

    def enable(self) -> None:
        """Show progress again."""
        self._enabled, self._next_draw = True, 0.0

    def _begin(self, description: str, total: float, completed: int = 0) -> None:
        """Show a new task; the one before waits."""
        if self._tasks:
            self._tasks[-1].advance(self._completed, monotonic())
        self._tasks.append(Task(description, total, completed))
        self._completed = completed
        self._next_draw = 0.0 if self.is_enabled else math.inf

    def _task(self, trainer: Trainer, pl_module: Module) -> Task:
        """The task at work as it stands; fetching its metrics waits for the device."""
        task = self._tasks[-1]
        task.advance(self._completed, monotonic())
        self._tasks[0].metrics = {  # within an epoch, a validation does not repeat them
            name: value.item() if isinstance(value, Tensor) else value
            for name, value in self.get_metrics(trainer, pl_module).items()
        }
        return task

    def _draw(self, trainer: Trainer, pl_module: Module) -> None:
        """Draw, and plan the next time."""
        if self._completed % self._stride and self._completed < self._tasks[-1].total:
            return
        self._display = self._display or self._open_display()
        self._task(trainer, pl_module)
        self._display.draw(self._tasks)
        self._next_draw = monotonic() + self._display.interval

    def _finish(self, trainer: Trainer, pl_module: Module, leave: bool) -> None:
        """End the task at work; one within another gives way to it."""
        inner = len(self._tasks) > 1
        if not inner and self._display is not None and not trainer.sanity_checking:
            self._display.finish(self._task(trainer, pl_module), leave)
        self._tasks.pop()
        if inner:
            self._tasks[-1].resume(monotonic())
            self._completed = self._tasks[-1].completed
        self._next_draw = 0.0 if self.is_enabled else math.inf

    def _close(self, *_: Any, **__: Any) -> None:
        """Give the terminal back, and leave the last state to be seen."""
        if self._display is not None:
            self._display.close()
        self._display = None
        self._tasks.clear()

    teardown = on_exception = _close

    def on_train_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Go on with the epoch of a run that is resumed in the middle of it."""
        if trainer.progress.batch:
            self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Begin an epoch, or the rest of one."""
        epoch, epochs = str(trainer.current_epoch), trainer.max_epochs or -1
        if epochs > 0:
            epoch += f"/{epochs - 1}"
        self._begin(f"Epoch {epoch}", self.total_train_batches, trainer.progress.batch)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Module, *_: Any, **__: Any
    ) -> None:
        """Count the batch, and draw if it is time."""
        self._completed += 1
        if monotonic() >= self._next_draw:
            self._draw(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Show the epoch with its metrics."""
        self._finish(trainer, pl_module, leave=self._leave)

    def on_validation_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Begin a validation, under the epoch it belongs to, or the sanity check."""
        if trainer.sanity_checking:
            counts = trainer.num_sanity_val_batches
            self._begin(self.sanity_check_description, sum(counts))
        else:
            self._begin(self.validation_description, sum(trainer.num_val_batches))

    def on_validation_end(self, trainer: Trainer, pl_module: Module) -> None:
        """End an evaluation."""
        self._finish(trainer, pl_module, leave=True)

    on_test_end = on_predict_end = on_validation_end

    def on_test_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Begin a test."""
        self._begin(self.test_description, sum(trainer.num_test_batches))

    def on_predict_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Begin a prediction."""
        self._begin(self.predict_description, sum(trainer.num_predict_batches))

    on_validation_batch_end = on_train_batch_end
    on_test_batch_end = on_predict_batch_end = on_validation_batch_end

    def __getstate__(self) -> dict[str, Any]:
        """Without the display, which holds the terminal."""
        return {**self.__dict__, "_display": None, "_tasks": []}


class TQDMProgressBar(RichProgressBar):
    """`RichProgressBar` under the name of Lightning's other bar; it needs no tqdm.

    Args:
        refresh_rate: draw after so many batches, ten times a second at most; 0 disables.
        process_position: only 0: rich finds room for the bars of one process.
        leave: keep each epoch's finished bar to be seen.
    """

    def __init__(
        self, refresh_rate: int = 1, process_position: int = 0, leave: bool = False
    ) -> None:
        rule = "process_position is not supported: one process draws in a terminal"
        refuse_if(self, process_position, rule)
        refuse_unless(self, Real, "a number", refresh_rate=refresh_rate)
        super().__init__(10 if refresh_rate else 0, leave)
        self.refresh_rate, self._stride = refresh_rate, refresh_rate or 1


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
        self.interval, self._console, self._theme = interval, console, theme
        self._live: Live | None = None

    def draw(self, tasks: Sequence[Task]) -> None:
        """Redraw all tasks, one under the other."""
        from rich.console import Group
        from rich.live import Live

        if self._live is None:
            # Drawn by the loop alone: no thread of rich's that a fork could copy.
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        bars = [render(task, self._theme, self._console.width) for task in tasks]
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


def render(task: Task, theme: RichProgressBarTheme, width: int) -> RenderableType:
    """A task as rich draws it in a terminal of a width."""
    from rich import progress_bar
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    layout = arrange(task, width, theme.metrics_format, theme.metrics_text_delimiter)
    cells: list[RenderableType] = [Text(layout.head, theme.description)]
    if layout.bar_width:
        bar = progress_bar.ProgressBar(
            total=task.total if math.isfinite(task.total) else None,
            completed=task.completed,
            width=layout.bar_width,
            complete_style=theme.progress_bar,
            finished_style=theme.progress_bar_finished,
            pulse_style=theme.progress_bar_pulse,
        )
        cells.append(bar)
    cells += [Text(text, getattr(theme, kind)) for kind, text in layout.tail]
    row = Table.grid(padding=(0, len(GAP)))
    row.add_row(*cells)
    return Group(row, *(Text(line, theme.metrics) for line in layout.below))
