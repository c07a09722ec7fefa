"""`LambdaCallback`: a callback made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scaffold_runtime.callback import Callback
from scaffold_runtime.errors import WrongTypeError
from scaffold_runtime.refusal import refuse_unless


class LambdaCallback(Callback):
    """Call functions at hooks: `LambdaCallback(setup=lambda *args: print("hello"))`.

    Args:
        hooks: functions by the name of a `Callback` hook, with that hook's arguments.

    Raises:
        WrongTypeError: there is no hook of a name.
    """

    def __init__(self, **hooks: Callable[..., Any] | None) -> None:
        for name, function in hooks.items():
            named_as_one = name.startswith("on_") or name in ("setup", "teardown")
            if not (named_as_one and hasattr(Callback, name)):
                raise WrongTypeError(
                    f"LambdaCallback({name}=...): Callback has no hook of this name."
                )
            refuse_unless(self, Callable, "a function", **{name: function})
            if function is not None:
                setattr(self, name, function)
