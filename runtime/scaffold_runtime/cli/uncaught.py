"""What is printed of an error that nobody caught."""

from __future__ import annotations

import sys
from types import TracebackType

from scaffold_runtime.errors import UserError


def install_excepthook() -> None:
    """Print an uncaught `UserError` as the sentence that it is; others keep their traceback."""
    before = sys.excepthook

    def print_sentence(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if isinstance(error, UserError):
            print(error, file=sys.stderr)
        else:
            before(kind, error, trace)

    sys.excepthook = print_sentence
