"""`RichProgressBar`: progress drawn by rich, imported when it is first shown."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaffold_runtime.callbacks.progress.display import Display, LineDisplay
from scaffold_runtime.callbacks.progress.layout import GAP, Task, arrange
from scaffold_runtime.callbacks.progress.timed_progress import TimedProgressBar

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live


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


class RichProgressBar(TimedProgressBar):
    """A bar with rate, time left and metrics that reads well at any terminal width.

    Where the output is no terminal (and no notebook), plain lines every few seconds.

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
        super().__init__(refresh_rate, leave)
        self.theme = theme
        self._console_kwargs = console_kwargs or {}

    def _open_display(self) -> Display:
        notebook = "ipykernel" in sys.modules
        if not (self._console_kwargs or notebook or sys.stdout.isatty()):
            return LineDisplay()
        from rich.console import Console

        console = Console(**self._console_kwargs)
        if not (console.is_terminal or console.is_jupyter):
            return LineDisplay()
        return RichDisplay(console, self.theme, interval=1 / self._refresh_rate)


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

    def print(self, *values: Any, **options: Any) -> None:
        """Print as the built-in does: rich keeps the bars below while they are shown."""
        print(*values, **options)

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

        theme = self._theme
        layout = arrange(
            self._task,
            options.max_width,
            theme.metrics_format,
            theme.metrics_text_delimiter,
        )
        line = Text(layout.head, style=theme.description, overflow="fold")
        if layout.bar_width:
            line.append(GAP)
            line.append_text(self._bar(console, options, layout.bar_width))
        for kind, text in layout.tail:
            line.append(GAP)
            line.append(text, style=getattr(theme, kind))
        yield line
        for text in layout.below:
            yield Text(text, style=theme.metrics, overflow="fold")

    def _bar(self, console: Console, options: ConsoleOptions, width: int) -> Any:
        """The bar alone, as text."""
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        task, theme = self._task, self._theme
        known = task.total != float("inf")
        bar = ProgressBar(
            total=task.total if known else None,
            completed=task.completed,
            width=width,
            pulse=not known,
            complete_style=theme.progress_bar,
            finished_style=theme.progress_bar_finished,
            pulse_style=theme.progress_bar_pulse,
        )
        segments: Iterator[Any] = iter(console.render(bar, options.update(width=width)))
        return Text.assemble(
            *((s.text, s.style or "") for s in segments if s.text != "\n")
        )
