"""How a run is spread over devices: alone, with DDP, or with FSDP2.

`make_strategy` turns the Trainer's word for one into the strategy itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from scaffold_runtime.errors import MisconfigurationError, missing_name
from scaffold_runtime.strategies.base import SingleDeviceStrategy, Strategy
from scaffold_runtime.strategies.ddp import DDPStrategy
from scaffold_runtime.strategies.fsdp import FSDPStrategy

__all__ = [
    "DDPStrategy",
    "FSDPStrategy",
    "SingleDeviceStrategy",
    "Strategy",
    "make_strategy",
]

_KNOWN: dict[str, Callable[[], Strategy]] = {
    "single_device": SingleDeviceStrategy,
    "ddp": DDPStrategy,
    "ddp_find_unused_parameters_false": DDPStrategy,
    "ddp_find_unused_parameters_true": partial(
        DDPStrategy, find_unused_parameters=True
    ),
    "fsdp": FSDPStrategy,
    "fsdp_cpu_offload": partial(FSDPStrategy, cpu_offload=True),
}
_REFUSED = {
    "dp": "use 'ddp'",
    "ddp_notebook": "put the code in a script and use 'ddp'",
    "ddp_": "use 'ddp', which starts your script once per process",
    "deepspeed": "use 'fsdp', which shards the same state",
    "modelparallel": "use 'fsdp', which shards parameters of any size",
    "parallel": "subclass Strategy",
    "xla": "use accelerator='cuda' or 'cpu'",
}


def make_strategy(strategy: str | Strategy, world_size: int) -> Strategy:
    """The strategy that a Trainer's argument names.

    Args:
        strategy: `auto`, `single_device`, `ddp`, `ddp_find_unused_parameters_true`,
            `fsdp`, `fsdp_cpu_offload`, or a strategy.
        world_size: number of processes in all; `auto` is DDP for more than one.

    Raises:
        MisconfigurationError: the name is unknown or not supported.
    """
    if isinstance(strategy, Strategy):
        return strategy
    if strategy == "auto":
        strategy = "ddp" if world_size > 1 else "single_device"
    word = str(strategy).lower()
    if word in _KNOWN:
        return _KNOWN[word]()
    reason = "is unknown: choose 'auto', 'ddp' or 'fsdp'"
    if instead := _instead_of(word):
        reason = f"is not supported: {instead}"
    raise MisconfigurationError(f"strategy={strategy!r} {reason}.")


def _instead_of(name: str) -> str:
    """What to use in the place of a strategy of Lightning's that is not here."""
    words = (word for word in _REFUSED if name.lower().startswith(word))
    return _REFUSED.get(next(words, ""), "")


def __getattr__(name: str) -> Any:
    instead = _instead_of(name)
    raise missing_name(__name__, name, {name: instead} if instead else {})
