"""Numeric precision: what the forward pass computes in, and how losses are scaled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.launch import rank_zero_warn

Closure = Callable[[], Any]

_ALIASES = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}
_DTYPES = {
    "64-true": torch.float64,
    "32-true": torch.float32,
    "bf16-true": torch.bfloat16,
    "16-true": torch.float16,
    "bf16-mixed": torch.bfloat16,
    "16-mixed": torch.float16,
}


class Precision:
    """Parameters, activations and gradients all in one type ("true" precision).

    Attributes:
        name: the Trainer's word for it, `32-true` for example.
        dtype: type of the parameters.
        compute_dtype: type of the forward pass's products.
        is_plain: it does nothing at all, so that the loop may pass it by.
        converts_input: parameters and batches change their type.
    """

    def __init__(self, name: str = "32-true") -> None:
        self.name = name
        self.dtype = self.compute_dtype = _DTYPES[name]
        self.is_plain = name == "32-true"
        self.converts_input = not self.is_plain

    def convert_module(self, module: nn.Module) -> None:
        """Convert parameters and floating-point buffers, in place."""
        if self.converts_input:
            module.to(dtype=self.dtype)

    def convert_input(self, tensor: torch.Tensor) -> torch.Tensor:
        """Convert a floating-point tensor of a batch; others pass as they are."""
        converts = self.converts_input and tensor.is_floating_point()
        return tensor.to(self.dtype) if converts else tensor

    def forward_context(self) -> AbstractContextManager[Any]:
        """The context that a step's forward pass runs in."""
        return nullcontext() if self.is_plain else default_dtype(self.dtype)

    def scale(self, loss: torch.Tensor) -> torch.Tensor:
        """Scale a loss before its backward pass."""
        return loss

    def unscale(self, optimizer: Optimizer) -> None:
        """Bring gradients back to their true size, before clipping."""

    def step(self, optimizer: Optimizer, closure: Closure | None = None) -> Any:
        """Take the optimizer's step; return what the closure returned, if there is one."""
        return optimizer.step(closure) if closure else optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """State to keep in a checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of a checkpoint."""


class MixedPrecision(Precision):
    """Parameters in float32, products in a 16-bit type through `torch.autocast`.

    With float16, losses are scaled so that small gradients survive (Micikevicius et al.,
    "Mixed Precision Training", 2018, section 3.2).
    """

    def __init__(self, name: str, device_type: str) -> None:
        super().__init__()
        self.name = name
        self.is_plain = self.converts_input = False
        self.compute_dtype = _DTYPES[name]
        self._device_type = device_type
        scales = self.compute_dtype is torch.float16
        self.scaler = torch.amp.GradScaler(device_type) if scales else None

    def forward_context(self) -> AbstractContextManager[Any]:
        """`torch.autocast` for the run's device."""
        return torch.autocast(
            self._device_type,
            dtype=self.compute_dtype,
            cache_enabled=not torch.is_inference_mode_enabled(),
        )

    def scale(self, loss: torch.Tensor) -> torch.Tensor:
        """Scale a float16 loss."""
        return self.scaler.scale(loss) if self.scaler else loss

    def unscale(self, optimizer: Optimizer) -> None:
        """Unscale gradients of float16 once a step; a second call changes nothing."""
        if self.scaler and not _is_unscaled(self.scaler, optimizer):
            self.scaler.unscale_(optimizer)

    def step(self, optimizer: Optimizer, closure: Closure | None = None) -> Any:
        """Step; with float16 only where no gradient overflowed."""
        if self.scaler is None:
            return super().step(optimizer, closure)
        if closure is not None:
            raise MisconfigurationError(
                f"{type(optimizer).__name__} evaluates its closure many times, which loss"
                " scaling cannot follow: use precision='bf16-mixed' or '32-true' with it."
            )
        result = self.scaler.step(optimizer)
        self.scaler.update()
        return result

    def state_dict(self) -> dict[str, Any]:
        """The loss scale and its growth tracker."""
        return self.scaler.state_dict() if self.scaler else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the loss scale."""
        if self.scaler and state:
            self.scaler.load_state_dict(state)


def _is_unscaled(scaler: torch.amp.GradScaler, optimizer: Optimizer) -> bool:
    """Whether this step's gradients are unscaled; torch keeps it, but not in the open."""
    return bool(scaler._per_optimizer_states[id(optimizer)]["stage"].value != 0)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """New tensors inside are of `dtype`, as the parameters are."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def make_precision(name: str | int | None, device_type: str) -> Precision:
    """The precision that a Trainer's argument names.

    Args:
        name: `32-true`, `16-mixed`, `bf16-mixed`, `bf16-true`, `16-true`, `64-true`, or the
            short forms `32`, `64`, `16`, `bf16`.
        device_type: `cpu`, `cuda` or `mps`.

    Raises:
        MisconfigurationError: the name is unknown, or the device cannot compute in it.
    """
    text = "32-true" if name is None else _ALIASES.get(str(name), str(name))
    if text not in _DTYPES:
        raise MisconfigurationError(
            f"precision={name!r} is not supported: choose one of {', '.join(_DTYPES)}."
        )
    if (text, device_type) == ("64-true", "mps"):
        raise MisconfigurationError(
            "An MPS device has no float64: use precision='32-true', or accelerator='cpu'."
        )
    if (text, device_type) == ("16-mixed", "cpu"):
        rank_zero_warn(
            "precision='16-mixed' is not supported on CPU: using 'bf16-mixed' instead."
        )
        text = "bf16-mixed"
    mixed = text.endswith("mixed")
    return MixedPrecision(text, device_type) if mixed else Precision(text)
