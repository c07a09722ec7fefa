"""Fully sharded data parallel, on FSDP2's `fully_shard`: every rank holds a slice."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, cast

import torch
from torch import nn
from torch.optim import Optimizer

from scaffold_runtime.errors import CheckpointError, MisconfigurationError
from scaffold_runtime.launch import ProcessPlace
from scaffold_runtime.strategies.base import DEFAULT_TIMEOUT, ProcessGroupStrategy

Policy = Callable[..., bool] | Iterable[type[nn.Module]]

# Methods that gather parameters as a forward pass does.
_STEPS = ("training_step", "validation_step", "test_step", "predict_step")
_FSDP1_ONLY = {
    "use_orig_params": "parameters keep their names under FSDP2",
    "backward_prefetch": "FSDP2 prefetches by itself",
    "forward_prefetch": "FSDP2 prefetches by itself",
    "limit_all_gathers": "FSDP2 limits them by itself",
    "sync_module_states": "rank 0's weights are always broadcast",
    "activation_checkpointing": "use activation_checkpointing_policy",
    "ignored_states": "freeze these parameters instead",
    "ignored_modules": "freeze these modules instead",
}


class FSDPStrategy(ProcessGroupStrategy):
    """Parameters, gradients and optimizer state sharded over ranks, as DTensors.

    Args:
        auto_wrap_policy: which submodules form a group of their own: a set of classes, or a
            policy of `torch.distributed.fsdp.wrap`. None takes the elements of every
            `nn.ModuleList`, which is where models keep their blocks. The rest forms one
            group with the root.
        cpu_offload: keep parameters on the CPU between uses (needs an accelerator).
        reshard_after_forward: free gathered parameters after the forward pass.
        sharding_strategy: `FULL_SHARD` or `SHARD_GRAD_OP`, FSDP1's words for
            `reshard_after_forward`.
        activation_checkpointing_policy: classes whose activations are computed again in
            the backward pass.
        process_group_backend: backend of the process group.
        timeout: how long a rank waits for the others, in seconds or as a timedelta.

    Raises:
        MisconfigurationError: an option that only FSDP1 has.
    """

    name = "fsdp"
    allows_inference_mode = False  # gathered parameters are used again in training
    allows_manual_optimization = False  # gradients are shared when the step has ended

    def __init__(
        self,
        auto_wrap_policy: Policy | None = None,
        cpu_offload: bool = False,
        reshard_after_forward: bool = True,
        sharding_strategy: str | None = None,
        activation_checkpointing_policy: Iterable[type[nn.Module]] | None = None,
        process_group_backend: str | None = None,
        timeout: timedelta | float | None = DEFAULT_TIMEOUT,
        **unknown: Any,
    ) -> None:
        super().__init__(process_group_backend, timeout)
        _refuse_unknown(unknown)
        self._policy = auto_wrap_policy
        self._cpu_offload = bool(cpu_offload)
        self._reshard = _reshard_after_forward(sharding_strategy, reshard_after_forward)
        self._recompute = tuple(activation_checkpointing_policy or ())
        self._module: Any = None
        self.param_dtype: torch.dtype | None = None

    def connect(self, place: ProcessPlace, device: torch.device) -> None:
        """Join the process group; the CPU has no offload to itself.

        Raises:
            MisconfigurationError: `cpu_offload` without an accelerator.
        """
        if self._cpu_offload and device.type == "cpu":
            raise MisconfigurationError(
                "FSDPStrategy(cpu_offload=True) needs an accelerator to offload from:"
                " drop it, or run with accelerator='cuda'."
            )
        super().connect(place, device)

    def setup(self, module: nn.Module) -> None:
        """Broadcast rank 0's weights, then shard the groups and the root, in place.

        A module that a former run has sharded stays as it is.
        """
        from torch.distributed.fsdp import (
            FSDPModule,
            fully_shard,
            register_fsdp_forward_method,
        )

        self._module = module
        if isinstance(module, FSDPModule):
            return
        module.to(self.root_device)
        self._broadcast_weights(module)
        shard = functools.partial(fully_shard, **self._sharding_arguments())
        for group in self._groups(module):
            if self._recompute and isinstance(group, self._recompute):
                _recompute_activations(group)
            shard(group)
        shard(module)
        for step in _STEPS:
            if callable(getattr(module, step, None)):
                register_fsdp_forward_method(module, step)

    def set_gradient_sync(self, enabled: bool) -> None:
        """Reduce gradients in the next backward pass, or keep them whole until later."""
        self._module.set_requires_gradient_sync(enabled)

    def _sharding_arguments(self) -> dict[str, Any]:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy

        arguments: dict[str, Any] = {
            "mesh": init_device_mesh(self.root_device.type, (self.place.world_size,)),
            "reshard_after_forward": self._reshard,
        }
        if self.param_dtype is not None:
            arguments["mp_policy"] = MixedPrecisionPolicy(
                param_dtype=self.param_dtype, reduce_dtype=torch.float32
            )
        if self._cpu_offload:
            arguments["offload_policy"] = CPUOffloadPolicy()
        return arguments

    def _broadcast_weights(self, module: nn.Module) -> None:
        if self.place.world_size > 1:
            for tensor in [*module.parameters(), *module.buffers()]:
                torch.distributed.broadcast(tensor.detach(), src=0)

    def _groups(self, module: nn.Module) -> list[nn.Module]:
        """Submodules to shard on their own, the innermost first."""
        inner = [child for child in module.modules() if child is not module]
        if self._policy is None:
            lists = [child for child in inner if isinstance(child, nn.ModuleList)]
            chosen = {id(block) for blocks in lists for block in blocks}
            return [child for child in reversed(inner) if id(child) in chosen]
        return [child for child in reversed(inner) if self._is_group(child)]

    def _is_group(self, child: nn.Module) -> bool:
        if isinstance(self._policy, Iterable):
            return isinstance(child, tuple(self._policy))
        size = sum(parameter.numel() for parameter in child.parameters())
        policy = cast("Callable[..., bool]", self._policy)
        return bool(policy(module=child, recurse=False, nonwrapped_numel=size))

    # --- state ------------------------------------------------------------------------

    def full_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """Gather every DTensor; ranks other than 0 let go of each as it comes."""
        return cast(dict[str, Any], _gather(state, keep=self.place.rank == 0))

    def load_module_state(
        self, module: nn.Module, state: dict[str, Any], strict: bool = True
    ) -> None:
        """Load each rank's slice of a whole state."""
        own = module.state_dict()
        sliced = {key: _slice_like(own.get(key), value) for key, value in state.items()}
        module.load_state_dict(sliced, strict=strict)

    def load_optimizer_state(self, optimizer: Optimizer, state: dict[str, Any]) -> None:
        """Load each rank's slice; state is sharded as the parameter it belongs to."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        sliced = {
            index: {
                key: (
                    _slice_like(parameters[index], value) if _is_large(value) else value
                )
                for key, value in entries.items()
            }
            for index, entries in state["state"].items()
        }
        optimizer.load_state_dict({**state, "state": sliced})

    def clip_by_norm(
        self, parameters: Iterable[nn.Parameter], max_norm: float
    ) -> torch.Tensor:
        """Clip by the norm over all ranks; returns it as a plain tensor."""
        norm = super().clip_by_norm(parameters, max_norm)
        return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


def _refuse_unknown(unknown: dict[str, Any]) -> None:
    for name in unknown:
        reason = _FSDP1_ONLY.get(name, "it is no option of FSDP2")
        raise MisconfigurationError(
            f"FSDPStrategy({name}=...) is not supported: {reason}. Drop the argument."
        )


def _reshard_after_forward(sharding_strategy: str | None, default: bool) -> bool:
    if sharding_strategy is None:
        return default
    known = {"FULL_SHARD": True, "SHARD_GRAD_OP": False}
    name = getattr(sharding_strategy, "name", sharding_strategy)
    if name not in known:
        raise MisconfigurationError(
            f"sharding_strategy={name!r} is not supported: choose FULL_SHARD or"
            " SHARD_GRAD_OP, or strategy='ddp' for NO_SHARD."
        )
    return known[name]


def _recompute_activations(module: nn.Module) -> None:
    """Trade the memory of a module's activations for a second forward pass."""
    from torch.utils.checkpoint import checkpoint

    forward = module.forward
    module.forward = functools.partial(checkpoint, forward, use_reentrant=False)


def _gather(value: Any, keep: bool) -> Any:
    if isinstance(value, dict):
        return {key: _gather(item, keep) for key, item in value.items()}
    if isinstance(value, list):
        return [_gather(item, keep) for item in value]
    if hasattr(value, "full_tensor"):
        whole = value.full_tensor()
        return whole.cpu() if keep else None
    return value


def _is_large(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dim() > 0


def _slice_like(own: Any, whole: Any) -> Any:
    """This rank's slice of a whole tensor, laid out as `own` is."""
    if not hasattr(own, "placements"):
        return whole
    from torch.distributed.tensor import distribute_tensor

    if own.shape != whole.shape:
        raise CheckpointError(
            f"The checkpoint holds a tensor of shape {tuple(whole.shape)} where the model"
            f" has {tuple(own.shape)}: load it into the model that it was saved from."
        )
    return distribute_tensor(
        whole.to(own.device_mesh.device_type),
        own.device_mesh,
        own.placements,
        src_data_rank=None,
    )
