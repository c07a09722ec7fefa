"""What is printed of an error that nobody caught."""

from __future__ import annotations

import os
import sys
import traceback
from types import TracebackType

import torch

from scaffold_runtime.errors import UserError

TORCH = os.path.dirname(torch.__file__) + os.sep


def install_excepthook() -> None:
    """Print an uncaught error that a value explains as one sentence; others as ever."""
    before = sys.excepthook

    def print_sentence(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if sentence := _sentence(error):
            print(sentence, file=sys.stderr)
        else:
            before(kind, error, trace)

    sys.excepthook = print_sentence


def _sentence(error: BaseException) -> str:
    """What explains the error without its traceback; empty where nothing does.

    A constructor of torch's that refuses a value (a dropout of 2, a negative learning rate)
    names it; the line that called the constructor says whose value it is.
    """
    if isinstance(error, UserError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    callers = [frame for frame in frames if not frame.filename.startswith(TORCH)]
    refused = isinstance(error, (ValueError, RuntimeError)) and callers
    if refused and frames[-1] is not callers[-1] and frames[-1].name == "__init__":
        return f"{error} ({callers[-1].filename}, line {callers[-1].lineno})"
    return ""
