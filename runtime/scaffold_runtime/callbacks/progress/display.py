"""Plain lines now and then, where there is no terminal to draw in."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from time import monotonic
from typing import ClassVar

from scaffold_runtime.callbacks.progress.layout import Task, arrange


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

    def close(self) -> None:
        """Print the last line that was kept back."""
        if self._pending is not None:
            self._print_line(self._pending)


def _line(task: Task) -> str:
    """A task's progress as one line of any length."""
    return arrange(task, width=sys.maxsize).first_line("")
