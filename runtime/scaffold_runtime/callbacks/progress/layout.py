"""How a line of progress reads at any width: pure text, no terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from textwrap import TextWrapper
from time import monotonic
from typing import Any, NamedTuple

MIN_BAR_WIDTH = 10
MAX_BAR_WIDTH = 40
SMOOTHING = 0.3  # weight of the newest rate in the moving average
GAP = "  "


class Task:
    """Work whose progress is shown: an epoch of training, or an evaluation.

    Args:
        description: what is going on, in a few words.
        total: number of batches; infinite where unknown.
        completed: batches done before.

    Attributes:
        metrics: values to show, by name.
        started: when it began, in seconds of the monotonic clock.
    """

    def __init__(self, description: str, total: float, completed: int = 0) -> None:
        self.description, self.total = description, total
        self.metrics: Mapping[str, Any] = {}
        self.completed = self._rated_batches = completed
        self.started = self._rated_at = monotonic()
        self._rate: float | None = None

    def advance(self, completed: int, now: float) -> None:
        """Note how many batches are done; updates the rate, a moving average."""
        seconds, batches = now - self._rated_at, completed - self._rated_batches
        self.completed = completed
        if seconds <= 0 or batches <= 0:
            return
        newest = batches / seconds
        if self._rate is not None:
            newest = SMOOTHING * newest + (1 - SMOOTHING) * self._rate
        self._rate = newest
        self._rated_at, self._rated_batches = now, completed

    def resume(self, now: float) -> None:
        """Leave the time since the last batch out of the rate: something else ran."""
        self.started += now - self._rated_at
        self._rated_at = now

    def count(self) -> str:
        """`12/100`, or `12` where the total is unknown."""
        of = f"/{int(self.total)}" if math.isfinite(self.total) else ""
        return f"{self.completed}{of}"

    def rate(self) -> str:
        """Batches a second, or seconds a batch where that is slow."""
        rate = self._rate or 0.0
        if rate >= 1:
            return f"{rate:.{int(rate < 100)}f} it/s"
        return f"{1 / rate:.1f} s/it" if rate else ""

    def times(self) -> str:
        """`0:05<0:20`: time gone, and time left where that is known."""
        gone = format_seconds(self._rated_at - self.started)
        if not self._rate or not math.isfinite(self.total):
            return gone
        return f"{gone}<{format_seconds((self.total - self.completed) / self._rate)}"


def format_seconds(seconds: float) -> str:
    """`0:05`, `12:34`, `1:02:03`."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_metrics(metrics: Mapping[str, Any], number_format: str = ".3g") -> list[str]:
    """`name=value` for each metric; numbers in four digits, integers whole."""
    shown = {
        name: format(value, number_format) if isinstance(value, float) else value
        for name, value in metrics.items()
    }
    return [f"{name}={value}" for name, value in shown.items()]


class Layout(NamedTuple):
    """A task's progress, cut to a width.

    Attributes:
        head: what stands before the bar.
        bar_width: columns for the bar, 0 where there is no room.
        tail: what stands after the bar, as pairs of kind and text.
        below: further lines, of metrics.
    """

    head: str
    bar_width: int
    tail: list[tuple[str, str]]
    below: list[str]

    def first_line(self, bar: str) -> str:
        """The line with the bar, drawn as given."""
        parts = (self.head, bar, *(text for _, text in self.tail))
        return GAP.join(part for part in parts if part)


def arrange(
    task: Task, width: int, number_format: str = ".3g", delimiter: str = GAP
) -> Layout:
    """Fit a task's progress into `width` columns.

    Metrics go below where they do not fit beside the bar; then the bar, the times, and
    the rate give way; the description and the count stay.
    """
    metrics = format_metrics(task.metrics, number_format)
    counters = [
        ("batch_progress", task.count()),
        ("processing_speed", task.rate()),
        ("time", task.times()),
    ]
    tail = [part for part in counters if part[1]]
    beside = [*tail, ("metrics", delimiter.join(metrics))] if metrics else tail
    bar = _room_for_bar(task, beside, width)
    if bar >= MIN_BAR_WIDTH:
        return Layout(task.description, min(bar, MAX_BAR_WIDTH), beside, [])
    while len(tail) > 1 and _room_for_bar(task, tail, width) + len(GAP) < 0:
        tail.pop()
    bar = _room_for_bar(task, tail, width)
    bar = min(bar, MAX_BAR_WIDTH) if bar >= MIN_BAR_WIDTH else 0
    whole = TextWrapper(max(width, 1), break_long_words=False, break_on_hyphens=False)
    return Layout(task.description, bar, tail, whole.wrap(delimiter.join(metrics)))


def _room_for_bar(task: Task, tail: list[tuple[str, str]], width: int) -> int:
    """Columns that the description, the tail and the gaps leave; may be negative."""
    texts = [task.description, *(text for _, text in tail)]
    return width - sum(len(text) + len(GAP) for text in texts)
