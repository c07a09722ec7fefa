"""Batch normalisation whose statistics are those of all ranks' batches together.

torch's own runs on accelerators only; for the CPU there is one here, on a differentiable
all-reduce.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from scaffold_runtime.strategies.base import sum_over_ranks


def synchronize_batch_norm(module: nn.Module, device: torch.device) -> None:
    """Replace every batch normalisation in a module, in place; its state stays."""
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return
    for child in module.modules():
        if isinstance(child, _BatchNorm):
            child.__class__ = _ReducedBatchNorm


class _ReducedBatchNorm(_BatchNorm):
    """Batch normalisation (Ioffe & Szegedy, 2015) over all ranks, by way of all-reduce."""

    def _check_input_dim(self, input: torch.Tensor) -> None:
        """Any number of dimensions."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise (B, C, ...) -> (B, C, ...)."""
        if not self.training:
            return super().forward(input)
        x = input.to(torch.promote_types(input.dtype, torch.float32)).movedim(1, -1)
        axes = list(range(x.dim() - 1))
        own = torch.cat([x.sum(axes), x.new_tensor([x.numel() / x.shape[-1]])])
        sums, count = sum_over_ranks(own).tensor_split([-1])
        mean = sums / count
        squares = sum_over_ranks((x - mean).square().sum(axes))
        normal = (x - mean) * torch.rsqrt(squares / count + self.eps)
        if self.affine:
            normal = torch.addcmul(self.bias, normal, self.weight)
        if self.track_running_stats:
            self._track(mean.detach(), (squares / (count - 1).clamp(min=1)).detach())
        return normal.movedim(-1, 1).to(input.dtype)

    def _track(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Let the running statistics follow those of a batch."""
        for buffer, value in ((self.running_mean, mean), (self.running_var, variance)):
            if buffer is not None and self.num_batches_tracked is not None:
                share = self.momentum
                if share is None:
                    share = 1 / (int(self.num_batches_tracked) + 1)
                buffer.lerp_(value.to(buffer), share)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
