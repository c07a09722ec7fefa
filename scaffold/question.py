"""A question of a template: its type, and which answers it takes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scaffold.errors import TemplateError, UsageError, did_you_mean, ended, quoted
from scaffold.quoting import Value

_MAX_LENGTH = 300
_KEYS = {"help", "default", "choices", "min", "max", "pattern"}
_TYPES: dict[type, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
    list: "a list",
}
_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


@dataclass(frozen=True)
class Question:
    """One question: the type of its answers is the type of `default`."""

    name: str
    help: str
    default: Value
    choices: tuple[Value, ...] = ()
    min: float | None = None
    max: float | None = None
    pattern: str | None = None

    @property
    def type(self) -> type:
        """bool, int, float, str or list (of str)."""
        return type(self.default)

    @property
    def flag(self) -> str:
        """The command-line option (`--data-source`)."""
        return "--" + self.name.replace("_", "-")

    @property
    def metavar(self) -> str:
        """What stands for the answer in help texts (`digits|folder`, INT)."""
        choices = "|".join(map(str, self.choices))
        if choices and len(choices) < 40:
            return choices
        return {str: "TEXT", int: "INT", float: "NUMBER"}.get(self.type, "TEXT")

    def summary(self) -> str:
        """Return one line: the help and the default."""
        return f"{self.help} [{self.show(self.default)}]"

    def show(self, answer: Value) -> str:
        """Return `answer` as `parse` would take it."""
        if isinstance(answer, bool):
            return "yes" if answer else "no"
        return ",".join(answer) if isinstance(answer, list) else str(answer)

    def parse(self, text: str) -> Value:
        """Return the answer that `text` (from a command line or prompt) means.

        Raises:
            UsageError: it is no valid answer.
        """
        if self.type is list:
            return self.check([part.strip() for part in text.split(",") if part])
        if self.type is str:
            return self.check(text)
        try:
            return self.check(_CONVERTERS[self.type](text))
        except ValueError:
            raise self._refusal(text, f"expected {_TYPES[self.type]}") from None

    def check(self, answer: object) -> Value:
        """Return `answer` if it has the right type and is one of the allowed ones.

        Raises:
            UsageError: it is not.
        """
        if self.type is float and type(answer) is int:
            answer = float(answer)
        if type(answer) is not self.type:
            raise self._refusal(answer, f"expected {_TYPES[self.type]}")
        parts = answer if isinstance(answer, list) else [answer]
        for part in parts:
            self._check_part(part)
        return answer  # type: ignore[return-value]  # just compared with self.type

    def _check_part(self, part: object) -> None:
        if isinstance(part, str):
            self._check_text(part)
        elif self.type is list:
            raise self._refusal(part, "expected a list of text")
        elif isinstance(part, float) and not math.isfinite(part):
            raise self._refusal(part, "expected a finite number")
        elif isinstance(part, (int, float)):
            if self.min is not None and part < self.min:
                raise self._refusal(part, f"expected at least {self.min}")
            if self.max is not None and part > self.max:
                raise self._refusal(part, f"expected at most {self.max}")
        if self.choices and part not in self.choices:
            names = [str(choice) for choice in self.choices]
            raise self._refusal(part, did_you_mean(str(part), names))

    def _check_text(self, text: str) -> None:
        if len(text) > _MAX_LENGTH:
            raise self._refusal(text, f"expected at most {_MAX_LENGTH} characters")
        if not text.isprintable():
            raise self._refusal(text, "expected one line without control characters")
        if self.pattern is not None and not re.fullmatch(self.pattern, text):
            raise self._refusal(text, f"expected text that matches {self.pattern}")

    def _refusal(self, answer: object, reason: str) -> UsageError:
        shown = (
            quoted(answer) if isinstance(answer, str) else quoted(repr(answer))[1:-1]
        )
        return UsageError(f"{shown} is no answer to {self.name!r}: {ended(reason)}")

    def as_json(self) -> dict[str, Any]:
        """Return the question as `list --json` shows it."""
        shown: dict[str, Any] = {
            "name": self.name,
            "flag": self.flag,
            "type": self.type.__name__,
            "default": self.default,
            "help": self.help,
        }
        if self.choices:
            shown["choices"] = list(self.choices)
        for key in ("min", "max", "pattern"):
            if getattr(self, key) is not None:
                shown[key] = getattr(self, key)
        return shown


def read_question(name: str, table: Mapping[str, Any], where: str) -> Question:
    """Return the question that `[questions.<name>]` describes.

    Raises:
        TemplateError: a key is missing, unknown or contradicts the default.
    """
    unknown = set(table) - _KEYS
    if unknown:
        raise TemplateError(
            f"{where}: question {name!r} has unknown key {min(unknown)!r}."
        )
    for key in ("help", "default"):
        if key not in table:
            raise TemplateError(f"{where}: question {name!r} has no {key!r}.")
    if type(table["default"]) not in _TYPES:
        raise TemplateError(
            f"{where}: question {name!r} has a default of no known type."
        )
    question = Question(
        name=name,
        help=table["help"],
        default=table["default"],
        choices=tuple(table.get("choices", ())),
        min=table.get("min"),
        max=table.get("max"),
        pattern=table.get("pattern"),
    )
    try:
        question.check(question.default)
    except UsageError as error:
        raise TemplateError(f"{where}: the default {error}") from None
    return question


def _parse_bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(text)


_CONVERTERS: dict[type, Any] = {bool: _parse_bool, int: int, float: float}
