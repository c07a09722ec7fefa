"""Fully sharded data parallel, on FSDP2's `fully_shard`: every rank holds a slice."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only

from scaffold_runtime.errors import CheckpointError, MisconfigurationError
from scaffold_runtime.launch import ProcessPlace
from scaffold_runtime.strategies.base import DEFAULT_TIMEOUT, ProcessGroupStrategy

Policy = Callable[..., bool] | Iterable[type[nn.Module]]

# Methods that gather parameters as a forward pass does.
_STEPS = ("training_step", "validation_step", "test_step", "predict_step")
# FSDP1's words for (parameters are freed after the forward pass, replicas are sharded).
_SHARDING = {
    "FULL_SHARD": (True, False),
    "SHARD_GRAD_OP": (False, False),
    "HYBRID_SHARD": (True, True),
    "_HYBRID_SHARD_ZERO2": (False, True),
}
# What FSDP2 always does, and FSDP1 has an argument for.
_ALWAYS = {
    "use_orig_params": True,
    "limit_all_gathers": True,
    "sync_module_states": True,
    "state_dict_type": "full",
}
_FSDP1_ONLY = {
    "backward_prefetch": "FSDP2 prefetches by itself",
    "forward_prefetch": "FSDP2 prefetches by itself",
    "activation_checkpointing": "use activation_checkpointing_policy",
    "ignored_states": "freeze these parameters instead",
    "ignored_modules": "freeze these modules instead",
}


class FSDPStrategy(ProcessGroupStrategy):
    """Parameters, gradients and optimizer state sharded over ranks, as DTensors.

    Arguments of FSDP1 that say what FSDP2 always does (`use_orig_params=True`,
    `limit_all_gathers=True`, `sync_module_states=True`, `state_dict_type="full"`) are taken.

    Args:
        auto_wrap_policy: which submodules form a group of their own: a set of classes, or a
            policy of `torch.distributed.fsdp.wrap`. None takes the elements of every
            `nn.ModuleList`, which is where models keep their blocks. The rest forms one
            group with the root.
        cpu_offload: keep parameters on the CPU between uses (needs an accelerator); True,
            or a `CPUOffload`.
        reshard_after_forward: free gathered parameters after the forward pass.
        sharding_strategy: `FULL_SHARD` or `SHARD_GRAD_OP`, FSDP1's words for
            `reshard_after_forward`; `HYBRID_SHARD` shards within a machine and replicates
            over machines.
        device_mesh: (replicas, shards) of `HYBRID_SHARD`, or a mesh of two dimensions.
        mixed_precision: a `MixedPrecision` or `MixedPrecisionPolicy` in place of the
            Trainer's precision.
        activation_checkpointing_policy: modules whose activations are computed again in
            the backward pass, named as by `auto_wrap_policy`.
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
        cpu_offload: Any = False,
        reshard_after_forward: bool = True,
        sharding_strategy: Any = None,
        device_mesh: Any = None,
        mixed_precision: Any = None,
        activation_checkpointing_policy: Policy | None = None,
        process_group_backend: str | None = None,
        timeout: timedelta | float | None = DEFAULT_TIMEOUT,
        **unknown: Any,
    ) -> None:
        super().__init__(process_group_backend, timeout)
        _refuse_unknown(unknown)
        self._policy = auto_wrap_policy
        self._recompute = activation_checkpointing_policy
        self._cpu_offload = bool(getattr(cpu_offload, "offload_params", cpu_offload))
        sharding = _sharding(sharding_strategy, reshard_after_forward)
        self._reshard, self._hybrid = sharding
        if device_mesh is not None and not self._hybrid:
            raise MisconfigurationError(
                "FSDPStrategy(device_mesh=...) says how HYBRID_SHARD lays out its ranks: add"
                " sharding_strategy='HYBRID_SHARD', or drop it."
            )
        self._mesh, self._mixed_precision = device_mesh, mixed_precision
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
        from torch.distributed import fsdp
        from torch.utils.checkpoint import checkpoint

        self._module = module
        if isinstance(module, fsdp.FSDPModule):
            return
        module.to(self.root_device)
        if self.place.world_size > 1:
            for tensor in [*module.parameters(), *module.buffers()]:
                torch.distributed.broadcast(tensor.detach(), src=0)
        # Trades the memory of activations for a second forward pass.
        for child in _chosen(module, self._recompute):
            again = functools.partial(checkpoint, child.forward, use_reentrant=False)
            child.forward = again
        arguments = self._sharding_arguments()
        policy = _blocks(module) if self._policy is None else self._policy
        for group in _chosen(module, policy):
            fsdp.fully_shard(group, **arguments)
        fsdp.fully_shard(module, **arguments)
        for step in _STEPS:
            if callable(getattr(module, step, None)):
                fsdp.register_fsdp_forward_method(module, step)

    def set_gradient_sync(self, enabled: bool) -> None:
        """Reduce gradients in the next backward pass, or keep them whole until later."""
        self._module.set_requires_gradient_sync(enabled)

    def _sharding_arguments(self) -> dict[str, Any]:
        from torch.distributed import fsdp

        mixed = self._mixed_precision
        if mixed is None:
            reduced = torch.float32 if self.param_dtype else None
            mixed = fsdp.MixedPrecisionPolicy(self.param_dtype, reduced)
        offload = fsdp.CPUOffloadPolicy() if self._cpu_offload else fsdp.OffloadPolicy()
        return {
            "mesh": self._make_mesh(),
            "reshard_after_forward": self._reshard,
            "mp_policy": _as_policy(mixed),
            "offload_policy": offload,
        }

    def _make_mesh(self) -> Any:
        """One dimension of shards, or (replicas, shards), by default (machines, ranks)."""
        from torch.distributed.device_mesh import init_device_mesh

        ranks, local = self.place.world_size, self.place.local_world_size
        shape = self._mesh or ((ranks // local, local) if self._hybrid else (ranks,))
        if not isinstance(shape, (tuple, list)):
            return shape
        if math.prod(shape) != ranks:
            raise MisconfigurationError(
                f"FSDPStrategy(device_mesh={shape}) needs {math.prod(shape)} processes, and"
                f" there are {ranks}: make replicas x shards equal to them."
            )
        names = ("replicate", "shard")[-len(shape) :]
        kind = self.root_device.type
        return init_device_mesh(kind, tuple(shape), mesh_dim_names=names)

    # --- state ------------------------------------------------------------------------

    def full_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """Gather every DTensor; ranks other than 0 let go of each as it comes."""
        from torch.distributed.tensor import DTensor

        def gather(tensor: DTensor) -> torch.Tensor | None:
            whole = tensor.full_tensor()
            return whole.cpu() if self.place.rank == 0 else None

        return dict(tree_map_only(DTensor, gather, dict(state)))

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
        sliced = {index: dict(entries) for index, entries in state["state"].items()}
        for index, entries in sliced.items():
            for key, value in entries.items():
                if getattr(value, "ndim", 0):
                    entries[key] = _slice_like(parameters[index], value)
        optimizer.load_state_dict({**state, "state": sliced})

    def clip_by_norm(
        self, parameters: Iterable[nn.Parameter], max_norm: float
    ) -> torch.Tensor:
        """Clip by the norm over all ranks; returns it as a plain tensor."""
        norm = super().clip_by_norm(parameters, max_norm)
        return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


def _refuse_unknown(unknown: dict[str, Any]) -> None:
    for name, value in unknown.items():
        if name not in _ALWAYS or value != _ALWAYS[name]:
            reason = _FSDP1_ONLY.get(name, "it is no option of FSDP2")
            if name in _ALWAYS:
                reason = f"under FSDP2 it is always {_ALWAYS[name]!r}"
            raise MisconfigurationError(
                f"FSDPStrategy({name}=...) is not supported: {reason}. Drop the argument."
            )


def _sharding(strategy: Any, reshard: bool) -> tuple[bool, bool]:
    """Whether parameters are freed after the forward pass, and whether it is hybrid."""
    if strategy is None:
        return reshard, False
    name = getattr(strategy, "name", strategy)
    if name not in _SHARDING:
        raise MisconfigurationError(
            f"sharding_strategy={name!r} is not supported: choose FULL_SHARD, SHARD_GRAD_OP"
            " or HYBRID_SHARD, or strategy='ddp' for NO_SHARD."
        )
    return _SHARDING[name]


def _as_policy(mixed: Any) -> Any:
    """FSDP1's `MixedPrecision` in FSDP2's words."""
    from torch.distributed.fsdp import MixedPrecisionPolicy

    if isinstance(mixed, MixedPrecisionPolicy):
        return mixed
    for name in ("buffer_dtype", "keep_low_precision_grads"):
        if getattr(mixed, name):
            raise MisconfigurationError(
                f"MixedPrecision({name}=...) is not supported: FSDP2 leaves buffers as they"
                " are, and gradients in the parameters' type. Drop the argument."
            )
    cast = mixed.cast_forward_inputs or mixed.cast_root_forward_inputs
    return MixedPrecisionPolicy(mixed.param_dtype, mixed.reduce_dtype, None, cast)


def _blocks(module: nn.Module) -> Callable[..., bool]:
    """The policy that takes the elements of every `nn.ModuleList`."""
    lists = [child for child in module.modules() if isinstance(child, nn.ModuleList)]
    blocks = {id(block) for children in lists for block in children}
    return lambda module, **_: id(module) in blocks


def _chosen(module: nn.Module, policy: Policy | None) -> list[nn.Module]:
    """The submodules that a policy names, the innermost first.

    A policy of sizes counts the parameters that no chosen module inside has taken.
    """
    inner = list(reversed(list(module.modules())[1:]))
    if policy is None or isinstance(policy, Iterable):
        return [child for child in inner if isinstance(child, tuple(policy or ()))]
    chosen: list[nn.Module] = []
    taken: set[int] = set()
    for child in inner:
        free = sum(p.numel() for p in child.parameters() if id(p) not in taken)
        if policy(module=child, recurse=False, nonwrapped_numel=free):
            chosen.append(child)
            taken.update(map(id, child.parameters()))
    return chosen


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
    mesh, whole = own.device_mesh, whole.to(own.device_mesh.device_type)
    return distribute_tensor(whole, mesh, own.placements, src_data_rank=None)
