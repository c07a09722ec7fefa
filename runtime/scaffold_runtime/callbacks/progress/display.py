"""Where progress is shown: plain lines in a file or pipe, one moving line in a terminal."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Sequence
from time import monotonic
from typing import Any, ClassVar, Protocol

from scaffold_runtime.callbacks.progress.layout import GAP, Task, arrange

CLEAR_LINE = "\r\x1b[K"


class Display(Protocol):
    """Shows tasks; the last of them is the one at work, the others wait for it."""

    interval: float

    def draw(self, tasks: Sequence[Task]) -> None:
        """Show how far the tasks are."""

    def finish(self, task: Task, leave: bool) -> None:
        """Show a task that is done; with `leave` it stays above what follows."""

    def print(self, *values: Any, **options: Any) -> None:
        """Print as the built-in does, without breaking what is shown."""

    def close(self) -> None:
        """Leave the last state to be seen and give the terminal back."""


class LineDisplay:
    """Prints a plain line now and then, for logs.

    Attributes:
        interval: seconds between two lines of tasks at work.
    """

    interval = 5.0
    first_after: ClassVar[float] = 1.0  # shorter work needs only its last line
    min_gap: ClassVar[float] = 0.5  # short epochs would flood the log

    def __init__(self) -> None:
        self._printed_at = -math.inf
        self._next_line = monotonic() + self.first_after
        self._pending: str | None = None

    def draw(self, tasks: Sequence[Task]) -> None:
        """Print a line for the task at work, if it is time."""
        if monotonic() >= self._next_line:
            self._print_line(_line(tasks[-1]))

    def finish(self, task: Task, leave: bool) -> None:
        """Print the task's line; where it follows too soon, only the last such line."""
        line = _line(task)
        if monotonic() - self._printed_at < self.min_gap:
            self._pending = line
        else:
            self._print_line(line)

    def _print_line(self, line: str) -> None:
        print(line, flush=True)
        self._pending = None
        self._printed_at = monotonic()
        self._next_line = self._printed_at + self.interval

    def print(self, *values: Any, **options: Any) -> None:
        """Print as the built-in does."""
        print(*values, **options)

    def close(self) -> None:
        """Print the last line that was kept back."""
        if self._pending is not None:
            self._print_line(self._pending)


def _line(task: Task) -> str:
    """A task's progress as one line of any length."""
    return arrange(task, width=sys.maxsize).first_line("")


class TerminalDisplay:
    """Rewrites one line of a terminal, with nothing but ASCII.

    Attributes:
        interval: seconds between two redraws.
    """

    interval = 0.1

    def __init__(self) -> None:
        self._line = ""

    def draw(self, tasks: Sequence[Task]) -> None:
        """Redraw the line for the task at work."""
        task = tasks[-1]
        width = shutil.get_terminal_size().columns - 1
        layout = arrange(task, width)
        bar_width = 0 if layout.below else layout.bar_width  # metrics come first
        done = round(bar_width * task.fraction)
        bar = "#" * done + "." * (bar_width - done)
        line = GAP.join([layout.first_line(bar), *layout.below])
        self._line = line[:width]
        self._write(CLEAR_LINE + self._line)

    def finish(self, task: Task, leave: bool) -> None:
        """Redraw the line; with `leave`, go to the next one."""
        self.draw([task])
        if leave:
            self.close()

    def print(self, *values: Any, **options: Any) -> None:
        """Print above the line."""
        if options.get("file") not in (None, sys.stdout):
            print(*values, **options)
            return
        self._write(CLEAR_LINE)
        print(*values, **options)
        self._write(self._line)

    def close(self) -> None:
        """Go to the next line."""
        if self._line:
            self._write("\n")
            self._line = ""

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
