"""What a strategy does: place the module, run its step, and talk to the other ranks."""

from __future__ import annotations

import atexit
import pickle
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.optim import Optimizer

from scaffold_runtime.heartbeat import Heartbeat
from scaffold_runtime.launch import ProcessPlace, rank_zero_only

T = TypeVar("T")

DEFAULT_TIMEOUT = timedelta(minutes=30)
# In seconds. Gloo's threads need microseconds, and a turn on a busy machine.
GLOO_LETS_GO = 0.1


class Strategy:
    """One device in one process; the base of those that know more.

    Attributes:
        name: the Trainer's word for it.
        distributed: it needs a process group, even when it runs alone.
        place: where this process stands; `global_rank`, `local_rank`, `world_size` and
            `is_global_zero` are parts of it.
        root_device: the device of this process.
        allows_inference_mode: evaluation may run under `torch.inference_mode`.
        allows_manual_optimization: a backward pass may run inside the step.
    """

    name = "single_device"
    distributed = False
    allows_inference_mode = True
    allows_manual_optimization = True

    def __init__(self) -> None:
        self.heartbeat: Heartbeat | None = None
        Strategy.connect(self, ProcessPlace(), torch.device("cpu"))

    def connect(self, place: ProcessPlace, device: torch.device) -> None:
        """Take a place and a device, and join the other ranks."""
        self.place, self.root_device = place, device
        self.world_size, self.local_rank = place.world_size, place.local_rank
        self.global_rank, self.is_global_zero = place.rank, place.rank == 0

    def setup(self, module: nn.Module) -> None:
        """Put the module on its device, in place."""
        module.to(self.root_device)

    def wrap_step(self, module: nn.Module, step: str) -> Callable[..., Any]:
        """The callable that runs `module`'s method `step` so that gradients are shared."""
        bound: Callable[..., Any] = getattr(module, step)
        return bound

    def set_gradient_sync(self, enabled: bool) -> None:
        """Say whether the next backward pass shares its gradients; off while accumulating."""

    def before_backward(self, loss: torch.Tensor) -> None:
        """Prepare for a backward pass that starts inside the wrapped step."""

    # --- state ------------------------------------------------------------------------

    def full_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """Gather a module's or optimizer's state, so that one file can hold all of it.

        Every rank must call it; what it returns is whole on rank 0 only.
        """
        return state

    def load_module_state(
        self, module: nn.Module, state: dict[str, Any], strict: bool = True
    ) -> None:
        """Load a whole state into the module, of which this rank may hold a part."""
        module.load_state_dict(state, strict=strict)

    def load_optimizer_state(self, optimizer: Optimizer, state: dict[str, Any]) -> None:
        """Load a whole state into the optimizer, of which this rank may hold a part."""
        optimizer.load_state_dict(state)

    def clip_by_norm(
        self, parameters: Iterable[nn.Parameter], max_norm: float
    ) -> torch.Tensor:
        """Clip gradients by their global norm, in place, and return the norm before."""
        return nn.utils.clip_grad_norm_(list(parameters), max_norm)

    # --- words between ranks ----------------------------------------------------------

    def report_silence(self) -> None:
        """After an error, name the ranks that are silent or do not go on."""
        if self.heartbeat is not None:
            self.heartbeat.report()

    def barrier(self, name: str = "") -> None:
        """Wait until every rank is here, over the CPU."""
        if self.place.world_size > 1:
            dist.all_reduce(torch.zeros(1))

    def broadcast(self, value: T, src: int = 0) -> T:
        """Give every rank the value of rank `src`.

        Pickled bytes as a tensor: torch's own object collectives need NumPy.
        """
        if self.place.world_size == 1:
            return value
        sends = self.place.rank == src
        content = bytearray(pickle.dumps(value) if sends else b"")
        size = torch.tensor([len(content)])
        dist.broadcast(size, src)
        content = content or bytearray(int(size))
        dist.broadcast(torch.frombuffer(content, dtype=torch.uint8), src)
        received: T = value if sends else pickle.loads(content)
        return received

    def all_reduce(self, tensor: torch.Tensor, op: str = "mean") -> torch.Tensor:
        """Reduce a copy of the tensor over ranks by `mean`, `sum`, `min` or `max`."""
        if self.place.world_size == 1:
            return tensor
        reduced = tensor.detach().clone()
        kind = {"mean": "SUM", "avg": "SUM"}.get(op, op.upper())
        dist.all_reduce(reduced, op=getattr(dist.ReduceOp, kind))
        return reduced / self.place.world_size if op in ("mean", "avg") else reduced

    def reduce(
        self, tensor: torch.Tensor, group: None = None, reduce_op: str = "mean"
    ) -> torch.Tensor:
        """`all_reduce`, under Lightning's name; `group` must be None: all ranks take part."""
        return self.all_reduce(tensor, reduce_op)

    def all_gather(
        self, tensor: torch.Tensor, sync_grads: bool = False
    ) -> torch.Tensor:
        """Stack the ranks' tensors: (...) -> (world_size, ...); alone: unchanged.

        Args:
            tensor: this rank's, of one shape on all ranks.
            sync_grads: let gradients flow back to every rank.
        """
        if self.place.world_size == 1:
            return tensor
        if sync_grads:
            parts = [torch.zeros_like(tensor) for _ in range(self.place.world_size)]
            parts[self.place.rank] = tensor
            return sum_over_ranks(torch.stack(parts))
        gathered = [torch.empty_like(tensor) for _ in range(self.place.world_size)]
        dist.all_gather(gathered, tensor.detach().contiguous())
        return torch.stack(gathered)

    def agree(self, decision: bool, all: bool = True) -> bool:
        """Whether every rank (or any, with `all=False`) says yes."""
        vote = torch.tensor(int(decision))
        return bool(self.all_reduce(vote, "min" if all else "max"))

    def agree_on_most(self, *numbers: int) -> tuple[int, ...]:
        """The largest of every rank's number, for several numbers at once."""
        if self.place.world_size == 1:
            return numbers
        if self.heartbeat is not None:
            self.heartbeat.step += 1
        word = torch.tensor(numbers)
        dist.all_reduce(word, op=dist.ReduceOp.MAX)
        return tuple(word.tolist())

    reduce_boolean_decision = agree  # as Lightning's callbacks call it


class SingleDeviceStrategy(Strategy):
    """One device in one process."""


class ProcessGroupStrategy(Strategy):
    """Several processes that talk through `torch.distributed`.

    Args:
        process_group_backend: backend of the process group; the default is NCCL for CUDA,
            with Gloo beside it for words over the CPU, and Gloo alone for the rest.
        timeout: how long a rank waits for the others in one collective.
    """

    distributed = True

    def __init__(
        self,
        process_group_backend: str | None = None,
        timeout: timedelta | float | None = DEFAULT_TIMEOUT,
    ) -> None:
        super().__init__()
        self._backend = process_group_backend
        if isinstance(timeout, (int, float)):  # seconds, as a config file writes it
            timeout = timedelta(seconds=timeout)
        self._timeout = timeout

    def connect(self, place: ProcessPlace, device: torch.device) -> None:
        """Join the process group, unless the user has made one."""
        super().connect(place, device)
        rank_zero_only.rank = place.rank  # type: ignore[attr-defined]
        if device.type == "cuda":
            torch.cuda.set_device(device)
        if dist.is_initialized():
            return
        usual = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        alone = place.world_size == 1 and not place.launched
        dist.init_process_group(
            self._backend or usual,
            timeout=self._timeout,
            rank=place.rank,
            world_size=place.world_size,
            store=torch._C._distributed_c10d.HashStore() if alone else None,
        )
        atexit.register(self._leave)
        if place.world_size > 1:
            store = dist.distributed_c10d._get_default_store()
            self.heartbeat = Heartbeat(store, place.rank, place.world_size)

    def _leave(self) -> None:
        """End the heartbeat and leave the process group, when the process ends.

        Gloo's threads let go of the last collective's tensors some time after it has
        returned, and take the interpreter's lock for it: one that comes when the
        interpreter is gone aborts the process. Nothing tells that they are done.
        """
        if self.heartbeat is not None:
            self.heartbeat.stop()
            time.sleep(GLOO_LETS_GO)
        if dist.is_initialized():
            dist.destroy_process_group()


def sum_over_ranks(tensor: torch.Tensor) -> torch.Tensor:
    """The sum over ranks, through which gradients flow back to every rank."""
    total: torch.Tensor = _AllReduce.apply(tensor)  # type: ignore[no-untyped-call]
    return total


class _AllReduce(torch.autograd.Function):
    """The sum over ranks; so is its gradient, for every rank's loss depends on all inputs."""

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return sum_over_ranks(gradient)
