"""What can go wrong for a user, each told in one plain sentence.

ScaffoldError           exit code 1
├── UsageError          exit code 2: the command line, an answer or a name
├── TemplateError       exit code 1: a template folder that breaks the format's rules
└── UntrustedError      exit code 5: a project's own template, rendered only on request
"""

from __future__ import annotations

from collections.abc import Iterable


class ScaffoldError(Exception):
    """One sentence that says what is wrong, where, and what to do about it."""

    exit_code = 1


class UsageError(ScaffoldError):
    """The user asked for something that cannot be."""

    exit_code = 2


class TemplateError(ScaffoldError):
    """A template folder that does not follow docs/template-format.md."""


class UntrustedError(ScaffoldError):
    """The project has a template of its own, and the user did not say to trust it."""

    exit_code = 5


def quoted(text: str, limit: int = 60) -> str:
    """Return `text` as one short line in quotes, safe to print on any terminal."""
    shown = text if len(text) <= limit else f"{text[:limit]}..."
    return ascii(shown)


def ended(sentence: str) -> str:
    """Return `sentence` with a mark at its end."""
    return sentence if sentence.endswith((".", "?")) else f"{sentence}."


def did_you_mean(word: str, possible: Iterable[str]) -> str:
    """Return what to add to "unknown `word`": the nearest name, or all of them."""
    from difflib import get_close_matches

    names = sorted(possible)
    near = get_close_matches(word, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"choose from {', '.join(names)}" if names else "there are none"
