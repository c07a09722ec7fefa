"""Every set of answers to the classifier's questions, and sets that cover all pairs."""

from __future__ import annotations

import itertools
from typing import Any

from scaffold import catalog
from scaffold.quoting import Value

Options = dict[str, Any]


def choices() -> dict[str, list[Value]]:
    """The answers that each question allows; the vendored runtime is one more."""
    questions = catalog.task("classifier").questions
    answers = {
        name: list(question.choices or [True, False])
        for name, question in questions.items()
    }
    return answers | {"vendor": [True, False]}


def every() -> list[Options]:
    """All combinations."""
    names = list(choices())
    return [
        dict(zip(names, chosen, strict=True))
        for chosen in itertools.product(*choices().values())
    ]


def pairwise() -> list[Options]:
    """Few combinations in which any two answers meet, the one with most news first."""
    left = set().union(*map(_pairs, every()))
    chosen = []
    while left:
        best = max(every(), key=lambda options: len(_pairs(options) & left))
        chosen.append(best)
        left -= _pairs(best)
    return chosen


def _pairs(options: Options) -> set[tuple[tuple[str, Value], ...]]:
    return set(itertools.combinations(sorted(options.items()), 2))


def label(options: Options) -> str:
    """The name of a combination in a test's id."""
    return ",".join(f"{name}={answer}" for name, answer in options.items())
