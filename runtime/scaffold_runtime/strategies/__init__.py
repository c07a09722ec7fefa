"""How a run is spread over devices: alone, with DDP, or with FSDP2.

`make_strategy` turns the Trainer's word for one into the strategy itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.strategies.base import Strategy
from scaffold_runtime.strategies.ddp import DDPStrategy
from scaffold_runtime.strategies.fsdp import FSDPStrategy

__all__ = ["DDPStrategy", "FSDPStrategy", "Strategy", "make_strategy"]

_KNOWN: dict[str, Callable[[], Strategy]] = {
    "single_device": Strategy,
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
    "ddp_spawn": "use 'ddp', which starts your script once per process",
    "ddp_fork": "use 'ddp', which starts your script once per process",
    "ddp_notebook": "put the code in a script and use 'ddp'",
    "deepspeed": "use 'fsdp', which shards the same state",
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
    if strategy in _KNOWN:
        return _KNOWN[strategy]()
    for refused, instead in _REFUSED.items():
        if str(strategy).startswith(refused):
            raise MisconfigurationError(
                f"strategy={strategy!r} is not supported: {instead}."
            )
    raise MisconfigurationError(
        f"strategy={strategy!r} is unknown: choose 'auto', 'ddp' or 'fsdp'."
    )
