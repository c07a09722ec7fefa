"""Distributed data parallel: every rank holds the whole model and averages gradients."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.strategies.base import DEFAULT_TIMEOUT, ProcessGroupStrategy


class DDPStrategy(ProcessGroupStrategy):
    """`torch.nn.parallel.DistributedDataParallel` around the training step.

    Args:
        find_unused_parameters: look for parameters that took no part in the loss; costs
            a walk through the graph each step. Always on in manual optimization.
        gradient_as_bucket_view: let gradients be views into the communication buckets.
        static_graph: the same parameters take part in each step.
        process_group_backend: backend of the process group.
        timeout: how long a rank waits for the others, in seconds or as a timedelta.
        ddp_comm_hook: communication hook for `register_comm_hook`.
        ddp_comm_state: state that goes with the hook.
        **kwargs: any other argument of `DistributedDataParallel`.
    """

    name = "ddp"

    def __init__(
        self,
        find_unused_parameters: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        process_group_backend: str | None = None,
        timeout: timedelta | float | None = DEFAULT_TIMEOUT,
        ddp_comm_hook: Callable[..., Any] | None = None,
        ddp_comm_state: object | None = None,
        **kwargs: Any,
    ) -> None:
        known = inspect.signature(DistributedDataParallel).parameters
        if unknown := [name for name in kwargs if name not in known]:
            raise MisconfigurationError(
                f"DDPStrategy({unknown[0]}=...) is not supported: it is no argument of"
                " DistributedDataParallel. Drop it."
            )
        super().__init__(process_group_backend, timeout)
        self._comm_hook, self._comm_state = ddp_comm_hook, ddp_comm_state
        self._arguments = {
            "find_unused_parameters": find_unused_parameters,
            "gradient_as_bucket_view": gradient_as_bucket_view,
            "static_graph": static_graph,
            **kwargs,
        }
        self._ddp: DistributedDataParallel | None = None

    def wrap_step(self, module: nn.Module, step: str) -> Callable[..., Any]:
        """Run the step as the forward pass of a DDP module, which then hooks the gradients.

        Raises:
            MisconfigurationError: no parameter of the module needs a gradient.
        """
        if not any(parameter.requires_grad for parameter in module.parameters()):
            raise MisconfigurationError(
                f"{type(module).__name__} has no parameter that needs a gradient, so there"
                " is nothing for DDP to share: train it with strategy='auto', devices=1."
            )
        on_gpu = self.root_device.type == "cuda"
        adapter = _StepAdapter(module, step)
        # A backward pass by hand reaches the parameters of one optimizer among several.
        by_hand = not getattr(module, "automatic_optimization", True)
        self._ddp = adapter.__dict__["ddp"] = DistributedDataParallel(
            adapter,
            device_ids=[self.root_device.index] if on_gpu else None,
            **self._arguments | ({"find_unused_parameters": True} if by_hand else {}),
        )
        if self._comm_hook is not None:
            self._ddp.register_comm_hook(self._comm_state, self._comm_hook)
        return adapter.run

    def set_gradient_sync(self, enabled: bool) -> None:
        """What `DistributedDataParallel.no_sync` sets, without its context."""
        if self._ddp is not None:
            self._ddp.require_backward_grad_sync = enabled

    def before_backward(self, loss: torch.Tensor) -> None:
        """Tell the reducer of a backward pass that runs inside the step (manual mode)."""
        if self._ddp is None or not self._ddp.require_backward_grad_sync:
            return
        static = self._arguments["static_graph"]
        self._ddp.reducer.prepare_for_backward([] if static else [loss])


class _StepAdapter(nn.Module):
    """A module whose forward pass is another module's step."""

    def __init__(self, module: nn.Module, step: str) -> None:
        super().__init__()
        self.module = module
        self._step = getattr(module, step)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run the step through DDP.

        In manual mode the step has done its backward passes when it returns, so DDP must
        not wait for another one: its sync flag is off from the step's end to ours.
        """
        ddp = self.__dict__["ddp"]
        sync = ddp.require_backward_grad_sync
        output = ddp(*args, **kwargs)
        ddp.require_backward_grad_sync = sync
        return output

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = self._step(*args, **kwargs)
        if not getattr(self.module, "automatic_optimization", True):
            self.__dict__["ddp"].require_backward_grad_sync = False
        return output
