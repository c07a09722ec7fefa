"""Collecting answers: flags, `--set`, an answers file, and the person at the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from scaffold.errors import UsageError, quoted
from scaffold.question import Question
from scaffold.quoting import Value
from scaffold.template import Template


def may_prompt() -> bool:
    """Tell whether a person sits at both ends: never in CI, a pipe or a script."""
    return sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")


def parse_sets(template: Template, settings: Iterable[str]) -> dict[str, Value]:
    """Return the answers that `--set key=value`, repeated, gives.

    Raises:
        UsageError: no `=`, an unknown key, one given twice, or a bad value.
    """
    answers: dict[str, Value] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set takes key=value, not {quoted(setting)}.")
        if key in answers:
            raise UsageError(f"--set gives {key!r} twice.")
        answers[key] = template.question(key).parse(text)
    return answers


def read_answers_file(template: Template, path: Path) -> dict[str, Value]:
    """Return the answers in the YAML file `path`.

    Raises:
        UsageError: it cannot be read, is no YAML mapping, or has a bad answer.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    shown = f"the answers file {quoted(str(path), 200)}"
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {shown}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{shown} is no UTF-8 text.") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise UsageError(f"{shown} is broken YAML{where}: correct it.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{shown} must hold lines of `key: value`.")
    return {
        key: template.question(key).check(answer)
        for key, answer in ((str(key), answer) for key, answer in content.items())
    }


def ask_the_rest(template: Template, given: Mapping[str, Value]) -> dict[str, Value]:
    """Return `given` and what the person at the terminal answers to the other questions."""
    answers = dict(given)
    for question in template.questions.values():
        if question.name not in answers:
            answers[question.name] = _ask(question)
    return answers


def _ask(question: Question) -> Value:
    choices = f" ({', '.join(map(str, question.choices))})" if question.choices else ""
    while True:
        text = input(f"{question.help}{choices} [{question.show(question.default)}]: ")
        if not text.strip():
            return question.default
        try:
            return question.parse(text.strip())
        except UsageError as error:
            print(error)
