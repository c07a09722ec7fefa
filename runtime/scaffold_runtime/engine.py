"""`Engine`: the low layer. It works alone in a raw loop, and the Trainer is built on it."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import torch
from torch import nn
from torch.optim import Optimizer

from scaffold_runtime.checkpoint import read_checkpoint, write_checkpoint
from scaffold_runtime.combined_loader import CombinedEpochLoader, CombinedLoader
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.launch import read_place, start_workers
from scaffold_runtime.loader import EpochLoader, Sharding
from scaffold_runtime.optimization import trainable
from scaffold_runtime.precision import MixedPrecision, make_precision
from scaffold_runtime.seed import run_seed
from scaffold_runtime.strategies import FSDPStrategy, Strategy, make_strategy

T = TypeVar("T")

_REFUSED_ACCELERATORS = {"tpu", "hpu", "ipu", "xla", "npu"}


class Engine:
    """Device, precision and distribution for a training loop of your own.

    Args:
        accelerator: `auto`, `cpu`, `cuda`, `gpu` or `mps`.
        strategy: `auto`, `ddp`, `fsdp`, or a strategy.
        devices: how many processes on this machine, a list of GPU indices, or `auto`:
            every GPU, or one process without.
        num_nodes: number of machines.
        precision: see `make_precision`.

    Attributes:
        rank: index of this process among all, from 0; `is_global_zero` where it is 0.
        world_size: number of processes in all.
        barrier, broadcast, all_reduce, all_gather, agree, agree_on_most: words between
            ranks, those of the strategy.

    Raises:
        MisconfigurationError: an argument cannot work on this machine.

    Example:
        engine = Engine(devices=2)
        engine.launch()
        model = engine.setup(Net())
        optimizer = torch.optim.AdamW(model.parameters())
        for batch in engine.setup_loader(loader).iterate(epoch=0):
            optimizer.zero_grad()
            with engine.autocast():
                loss = model(*engine.to_device(batch))
            engine.backward(loss)
            engine.step(optimizer)
    """

    def __init__(
        self,
        accelerator: str = "auto",
        strategy: str | Strategy = "auto",
        devices: int | str | list[int] = "auto",
        num_nodes: int = 1,
        precision: str | int | None = "32-true",
    ) -> None:
        self.accelerator = choose_accelerator(accelerator)
        self.device_ids = choose_devices(devices, self.accelerator)
        self.num_nodes = num_nodes
        self.place = place = read_place()
        self.rank, self.is_global_zero = place.rank, place.rank == 0
        self.precision = make_precision(precision, self.accelerator)
        self.world_size = len(self.device_ids) * num_nodes
        if place.launched:
            self.world_size = place.world_size
            self._check_launched(devices)
        self.strategy = make_strategy(strategy, self.world_size)
        if self.world_size > 1 and not self.strategy.distributed:
            raise MisconfigurationError(
                f"strategy={strategy!r} runs in one process, and {self.world_size} were"
                " asked for: use strategy='ddp', or devices=1."
            )
        self.device = torch.device(self.accelerator)
        if self.accelerator == "cuda":
            local = min(self.place.local_rank, len(self.device_ids) - 1)
            self.device = torch.device("cuda", self.device_ids[local])
        self.seed = 0
        self._connected = False
        ranks = self.strategy
        self.barrier, self.broadcast = ranks.barrier, ranks.broadcast
        self.all_reduce, self.all_gather = ranks.all_reduce, ranks.all_gather
        self.agree, self.agree_on_most = ranks.agree, ranks.agree_on_most

    def _check_launched(self, devices: int | str | list[int]) -> None:
        """Under a launcher the number of processes is the launcher's to say."""
        if devices == "auto" or (self.accelerator != "cpu" and devices in (-1, "-1")):
            self.device_ids = list(range(self.place.local_world_size))
        elif len(self.device_ids) != self.place.local_world_size:
            raise MisconfigurationError(
                f"The launcher started {self.place.local_world_size} processes on this"
                f" machine, and devices={devices!r} asks for {len(self.device_ids)}: make"
                " them equal, or leave devices at 'auto'."
            )

    def launch(self) -> None:
        """Start the other processes where no launcher has, and join them.

        The process that starts workers never comes back: it exits with their code.

        Raises:
            MisconfigurationError: several machines without a launcher.
        """
        if self._connected:
            return
        if self.world_size > 1 and not self.place.launched:
            if self.num_nodes > 1:
                raise MisconfigurationError(
                    f"num_nodes={self.num_nodes} needs a launcher that starts every"
                    " machine: run the script under torchrun or srun."
                )
            start_workers(len(self.device_ids))
        if isinstance(self.strategy, FSDPStrategy):
            mixed = isinstance(self.precision, MixedPrecision)
            self.strategy.param_dtype = self.precision.compute_dtype if mixed else None
        self.strategy.connect(self.place, self.device)
        self.seed = self.strategy.broadcast(run_seed())
        self._connected = True

    # --- a raw loop's verbs -----------------------------------------------------------

    def setup(self, module: nn.Module) -> nn.Module:
        """Convert the module, put it on its device and shard it; optimizers come after.

        Returns a module to call: under DDP a wrapper that averages gradients.
        """
        self.prepare_module(module)
        step = self.strategy.wrap_step(module, "forward")
        return module if step == module.forward else _Callable(module, step)

    def prepare_module(self, module: nn.Module) -> None:
        """Convert the module to the precision and place it, in place."""
        self.precision.convert_module(module)
        self.strategy.setup(module)

    def setup_loader(
        self,
        loader: Iterable[Any] | CombinedLoader,
        training: bool = True,
        distribute: bool = True,
        sequential: bool = False,
        whole: bool = False,
    ) -> EpochLoader:
        """Build a loader anew: this rank's share, in an order of the seed and the epoch."""
        place = self.rank, self.world_size, self.seed
        sharding = Sharding(*place, training, sequential, distribute, whole)
        if isinstance(loader, CombinedLoader):
            return CombinedEpochLoader(loader, sharding)
        return EpochLoader(loader, sharding)

    def to_device(self, batch: Any) -> Any:
        """Move a batch of any nesting to this process' device, in the run's precision."""
        return move_batch(batch, self.device, self.precision.convert_input)

    def autocast(self) -> AbstractContextManager[Any]:
        """The context for a forward pass."""
        return self.precision.forward_context()

    @contextmanager
    def no_backward_sync(self, enabled: bool = True) -> Any:
        """Inside, backward passes keep their gradients to themselves (accumulation)."""
        self.strategy.set_gradient_sync(not enabled)
        try:
            yield
        finally:
            self.strategy.set_gradient_sync(True)

    def backward(self, loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass of a scaled loss."""
        self.precision.scale(loss).backward(*args, **kwargs)

    def clip_gradients(
        self,
        optimizer: Optimizer,
        clip_val: float | None = None,
        algorithm: str = "norm",
    ) -> torch.Tensor | None:
        """Clip an optimizer's gradients, unscaled, over all ranks.

        Args:
            optimizer: whose gradients.
            clip_val: the largest norm or absolute value; None or 0 does nothing.
            algorithm: `norm` or `value`.

        Returns:
            The total norm before clipping, for `norm`.
        """
        if not clip_val:
            return None
        self.precision.unscale(optimizer)
        if algorithm == "norm":
            return self.strategy.clip_by_norm(trainable(optimizer), clip_val)
        nn.utils.clip_grad_value_(trainable(optimizer), clip_val)
        return None

    def step(
        self, optimizer: Optimizer, closure: Callable[[], Any] | None = None
    ) -> Any:
        """Take the optimizer's step, through loss scaling where that is on."""
        return self.precision.step(optimizer, closure)

    def save(self, path: str, content: Mapping[str, Any]) -> None:
        """Gather what is sharded and let rank 0 write it; every rank must call it."""
        whole = self.strategy.full_state(dict(content))
        self.on_rank_zero(lambda: write_checkpoint(whole, path))

    def load(self, path: str) -> dict[str, Any]:
        """Read a checkpoint, on every rank, to the CPU."""
        return read_checkpoint(path)

    # --- words between ranks ----------------------------------------------------------

    def on_rank_zero(self, function: Callable[[], T]) -> T:
        """Run a function on rank 0 and give every rank its result, or its error."""
        result, error = None, None
        if self.is_global_zero:
            try:
                result = function()
            except Exception as caught:
                error = caught
        result, error = self.broadcast((result, error))
        if error is not None:
            raise error
        return result  # type: ignore[return-value]


class _Callable(nn.Module):
    """A module that is called through a strategy's wrapper."""

    def __init__(self, module: nn.Module, step: Callable[..., Any]) -> None:
        super().__init__()
        self.module = module
        self._step = step

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._step(*args, **kwargs)


def choose_accelerator(accelerator: str) -> str:
    """The device type that a Trainer's argument names: `cpu`, `cuda` or `mps`.

    Raises:
        MisconfigurationError: this machine has no such device, or it is not supported.
    """
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    found = next((kind for kind, is_here in here.items() if is_here), "cpu")
    if accelerator == "auto" or (accelerator == "gpu" and found != "cpu"):
        return found
    if accelerator == "cpu" or here.get(accelerator):
        return accelerator
    reason = "is unknown: choose 'auto', 'cpu', 'cuda' or 'mps'"
    if accelerator in (*here, "gpu"):
        reason = "finds no such device on this machine: use 'auto' or 'cpu'"
    elif accelerator in _REFUSED_ACCELERATORS:
        reason = "is not supported: use 'cuda', 'mps' or 'cpu'"
    raise MisconfigurationError(f"accelerator={accelerator!r} {reason}.")


def choose_devices(
    devices: int | str | list[int] | None, accelerator: str
) -> list[int]:
    """Indices of the devices that a Trainer's argument names.

    Args:
        devices: a number, `auto`, -1 for all GPUs, a list of indices, or `"0,1"`.
        accelerator: `cpu`, `cuda` or `mps`.

    Raises:
        MisconfigurationError: there are not so many, or the form is unknown.
    """
    available = torch.cuda.device_count() if accelerator == "cuda" else 1
    if devices in ("auto", None) or (accelerator != "cpu" and devices in (-1, "-1")):
        return list(range(available))
    text, chosen = str(devices), []
    if isinstance(devices, (list, tuple)):
        chosen = list(devices)
    elif re.fullmatch(r"\d+(,\d*)+", text):
        chosen = [int(part) for part in text.split(",") if part]
    elif text.isdecimal():
        chosen = list(range(int(text)))
    if not chosen:
        raise MisconfigurationError(
            f"devices={devices!r} is no number of devices: use 1 or more, a list of"
            " indices, or 'auto'."
        )
    counted = accelerator == "cpu" and not isinstance(devices, (list, tuple))
    if not counted and sorted(chosen) != sorted({*chosen} & {*range(available)}):
        raise MisconfigurationError(
            f"devices={devices!r}: this machine has {available} {accelerator} device(s);"
            " ask for fewer, or use devices='auto'."
        )
    return chosen


def move_batch(
    batch: Any,
    device: torch.device | None,
    convert: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Any:
    """Move every tensor in a batch of any nesting; what has a `.to` of its own is asked.

    Args:
        batch: tensors in mappings, sequences and dataclasses, nested at will.
        device: where to; None leaves tensors where they are.
        convert: applied to every tensor as well.
    """
    if isinstance(batch, torch.Tensor):
        if device is not None:
            batch = batch.to(device, non_blocking=device.type == "cuda")
        return convert(batch) if convert else batch
    if isinstance(batch, Mapping):
        items = {key: move_batch(item, device, convert) for key, item in batch.items()}
        return items if type(batch) is dict else _like(batch, items)
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(move_batch(item, device, convert) for item in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(move_batch(item, device, convert) for item in batch)
    if hasattr(batch, "__dataclass_fields__") and not isinstance(batch, type):
        moved_fields = {
            field.name: move_batch(getattr(batch, field.name), device, convert)
            for field in dataclasses.fields(batch)
            if field.init
        }
        return dataclasses.replace(batch, **moved_fields)
    if device is None or not hasattr(batch, "to"):
        return batch
    moved = batch.to(device)
    return batch if moved is None else moved  # one that moves itself may return nothing


def _like(batch: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    """A mapping of the batch's own type where that can be made, else a dict."""
    if isinstance(batch, defaultdict):
        return defaultdict(batch.default_factory, items)
    try:
        return type(batch)(items)  # type: ignore[call-arg]
    except TypeError:
        return items
