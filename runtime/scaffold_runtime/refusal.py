"""Arguments refused in one sentence, which names the class, the argument and its value."""

from __future__ import annotations

from numbers import Real
from typing import Any

from scaffold_runtime.errors import MisconfigurationError


def refuse_if(owner: object, broken: object, rule: str) -> None:
    """Raise the rule as a sentence where an argument breaks it."""
    if broken:
        raise MisconfigurationError(f"{type(owner).__name__}: {rule}.")


def refuse_unless(owner: object, kind: Any, what: str, **given: Any) -> None:
    """Raise where an argument is neither None nor of a type."""
    for name, value in given.items():
        wrong = value is not None and not isinstance(value, kind)
        refuse_if(owner, wrong, f"{name}={value!r} must be {what}")


def refuse_unless_one_of(owner: object, *choices: Any, **given: Any) -> None:
    """Raise where an argument is none of the choices."""
    words = " or ".join(map(repr, choices))
    for name, value in given.items():
        refuse_if(owner, value not in choices, f"{name}={value!r}, not {words}")


def refuse_unless_count(owner: object, least: int, **given: Any) -> None:
    """Raise where an argument is no whole number from `least`."""
    for name, count in given.items():
        wrong = not isinstance(count, Real) or count < least or count % 1 != 0
        rule = f"{name}={count!r} must be a whole number from {least}"
        refuse_if(owner, wrong, rule)
