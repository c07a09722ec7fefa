"""Hooks, each looked up once in a run: one that nobody overrides costs nothing."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from scaffold_runtime.callback import Callback
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.module import Module

if TYPE_CHECKING:
    from scaffold_runtime.trainer import Trainer

Hook = Callable[..., Any]

# Module hooks whose own definition does something, so that they run unless replaced by None.
_ACTIVE = {
    "on_validation_model_eval",
    "on_test_model_eval",
    "on_predict_model_eval",
    "on_validation_model_zero_grad",
}


class Hooks(dict[str, list[Hook]]):
    """The overridden hooks of a run's callbacks and module, in the order they are called.

    An entry is made when it is first asked for. Callbacks come before the module; for
    `on_train_epoch_end` those that say `after_module` come after it.
    """

    def __init__(self, trainer: Trainer, module: Module, callbacks: Sequence[Callback]):
        self._trainer, self._module, self._callbacks = trainer, module, callbacks

    def __missing__(self, name: str) -> list[Hook]:
        wrap = self._trainer.profiler.wrap
        before: list[Hook] = []
        after: list[Hook] = []
        for callback in self._callbacks:
            if is_overridden(callback, name, Callback):
                hook = getattr(callback, name)
                bound = functools.partial(hook, self._trainer, self._module)
                measured = wrap(bound, f"[Callback]{type(callback).__name__}.{name}")
                last = callback.after_module is True and name == "on_train_epoch_end"
                (after if last else before).append(measured)
        own = getattr(self._module, name, None)
        overridden = name in _ACTIVE or is_overridden(self._module, name, Module)
        if overridden and callable(own):
            before.append(profile_step(self._trainer, own, name))
        self[name] = before + after
        return self[name]

    def call(self, name: str, *args: Any) -> list[Any]:
        """Call every function of a hook; what is logged inside belongs to it."""
        functions = self[name]
        if not functions:
            return []
        recorder = self._trainer.recorder
        outer, recorder.hook = recorder.hook, name
        results = [function(*args) for function in functions]
        recorder.hook = outer
        return results


def profile_step(trainer: Trainer, step: Hook, name: str) -> Hook:
    """A hook or step of the module, measured if there is a profiler."""
    owner = type(trainer.module).__name__
    return trainer.profiler.wrap(step, f"[LightningModule]{owner}.{name}")


def is_overridden(instance: object, name: str, base: type) -> bool:
    """Whether an instance's method differs from its base's: by its class, or set on it.

    None set on an instance takes the method away.
    """
    if name in getattr(instance, "__dict__", {}):
        return vars(instance)[name] is not None
    own = getattr(type(instance), name, None)
    if own is None:  # a mock makes its methods when it is asked for them
        return callable(getattr(instance, name, None))
    return own is not getattr(base, name, None)


def takes_argument(function: Callable[..., Any], name: str, at_least: int) -> bool:
    """Whether a step takes an argument, by name or because it takes so many."""
    parameters = inspect.signature(inspect.unwrap(function)).parameters.values()
    if any(p.name == "dataloader_iter" for p in parameters):
        raise MisconfigurationError(
            "A step that takes dataloader_iter is not supported: take a batch."
        )
    given = [p for p in parameters if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
    named = any(p.name == name or p.kind is p.VAR_POSITIONAL for p in given)
    return named or len(given) >= at_least
