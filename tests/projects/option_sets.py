"""Every task with every set of answers to its questions, and sets that cover all pairs."""

from __future__ import annotations

import itertools
from typing import Any

from scaffold import catalog
from scaffold.quoting import Value

Options = dict[str, Any]  # the task, the answers to its questions, vendor


def choices(task: str) -> dict[str, list[Value]]:
    """The answers that each question allows; the vendored runtime is one more."""
    questions = catalog.task(task).questions
    answers = {
        name: list(question.choices or [True, False])
        for name, question in questions.items()
    }
    return {"task": [task], **answers, "vendor": [True, False]}


def every() -> list[Options]:
    """All combinations of each task."""
    return [options for task in catalog.task_names() for options in _every(task)]


def _every(task: str) -> list[Options]:
    names = list(choices(task))
    return [
        dict(zip(names, chosen, strict=True))
        for chosen in itertools.product(*choices(task).values())
    ]


def pairwise() -> list[Options]:
    """Few combinations of each task in which any two answers meet, most news first."""
    return [options for task in catalog.task_names() for options in _pairwise(task)]


def _pairwise(task: str) -> list[Options]:
    left = set().union(*map(_pairs, _every(task)))
    chosen = []
    while left:
        best = max(_every(task), key=lambda options: len(_pairs(options) & left))
        chosen.append(best)
        left -= _pairs(best)
    return chosen


def _pairs(options: Options) -> set[tuple[tuple[str, Value], ...]]:
    return set(itertools.combinations(sorted(options.items()), 2))


def label(options: Options) -> str:
    """The name of a combination in a test's id."""
    return ",".join(f"{name}={answer}" for name, answer in options.items())
