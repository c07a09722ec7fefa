"""`WeightAveraging`: validate, test and save an average of the weights along the way."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_avg_fn, get_swa_avg_fn

from scaffold_runtime.callback import Callback
from scaffold_runtime.launch import rank_zero_warn
from scaffold_runtime.refusal import refuse_if, refuse_unless_count

if TYPE_CHECKING:
    from scaffold_runtime import Module, Trainer

AverageFunction = Callable[[Tensor, Tensor, "Tensor | int"], Tensor]
MultiAverageFunction = Callable[[list[Tensor], list[Tensor], "Tensor | int"], None]


class WeightAveraging(Callback):
    """Keep an average of the weights; validation, checkpoints and the end of fit use it.

    The checkpoint's `state_dict` holds the average, so that whoever loads it has the
    averaged model; the weights in training are kept beside it and a resumed fit goes on
    with them.

    Args:
        device: where the average is kept; by default where the weights are.
        use_buffers: average buffers too; otherwise they are copied as they are.
        avg_fn: new average from (average, current, number averaged); a mean by default.
        multi_avg_fn: the same in place for (averages, currents, number averaged).

    Raises:
        MisconfigurationError: when a fit starts with sharded parameters (FSDP).
    """

    def __init__(
        self,
        device: torch.device | str | int | None = None,
        use_buffers: bool = True,
        avg_fn: AverageFunction | None = None,
        multi_avg_fn: MultiAverageFunction | None = None,
    ) -> None:
        both = avg_fn is not None and multi_avg_fn is not None
        refuse_if(self, both, "give avg_fn or multi_avg_fn, not both")
        self._device, self._use_buffers = device, use_buffers
        self._avg_fn, self._multi_avg_fn = avg_fn or get_swa_avg_fn(), multi_avg_fn
        self._averages: dict[str, Tensor] | None = None
        self._n_averaged = torch.tensor(0, dtype=torch.long)
        self._swapped = False
        self._latest_update_step, self._latest_update_epoch = 0, -1

    def should_update(
        self, step_idx: int | None = None, epoch_idx: int | None = None
    ) -> bool:
        """Whether to take the weights into the average; override it to choose when.

        Args:
            step_idx: the optimizer step just taken, from 0; None at an epoch's end.
            epoch_idx: the epoch that just ended, from 0; None after a step.
        """
        return step_idx is not None

    def state_dict(self) -> dict[str, Any]:
        """When the average was last updated; the average itself is in the checkpoint."""
        return {
            "latest_update_step": self._latest_update_step,
            "latest_update_epoch": self._latest_update_epoch,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the saved run was."""
        self._latest_update_step = state_dict["latest_update_step"]
        self._latest_update_epoch = state_dict.get("latest_update_epoch", -1)

    def setup(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Forget the average of an earlier fit."""
        self._averages, self._n_averaged = None, torch.tensor(0, dtype=torch.long)
        self._latest_update_step = trainer.global_step
        self._latest_update_epoch = trainer.current_epoch - 1

    def on_fit_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Start from the weights as they are, or from those of a checkpoint."""
        from torch.distributed.tensor import DTensor

        tensors = _parameters_and_buffers(pl_module)
        sharded = any(isinstance(tensor, DTensor) for tensor in tensors.values())
        refuse_if(self, sharded, "parameters are sharded (FSDP): use strategy='ddp'")
        loaded = self._averages or {}
        starts = {name: loaded.get(name, tensor) for name, tensor in tensors.items()}
        self._averages = {
            name: start.detach().to(self._device or tensors[name].device, copy=True)
            for name, start in starts.items()
        }

    def on_train_batch_end(self, trainer: Trainer, pl_module: Module, *_: Any) -> None:
        """Update after an optimizer step, where asked for."""
        step = trainer.global_step
        if step > self._latest_update_step and self.should_update(step_idx=step - 1):
            self._update(pl_module)
            self._latest_update_step = step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Update after an epoch, where asked for."""
        epoch = trainer.current_epoch
        if epoch > self._latest_update_epoch and self.should_update(epoch_idx=epoch):
            self._update(pl_module)
            self._latest_update_epoch = epoch

    @torch.no_grad()
    def _update(self, pl_module: Module) -> None:
        """Take the weights in training into the average; the first are copied."""
        assert self._averages is not None
        current = _parameters_and_buffers(pl_module)
        if not self._use_buffers:
            for name, buffer in pl_module.named_buffers():
                self._averages[name].copy_(buffer)
                del current[name]
        averages, tensors = [self._averages[n] for n in current], list(current.values())
        if self._n_averaged > 0 and self._multi_avg_fn is not None:
            for dtype in {tensor.dtype for tensor in tensors}:  # torch's take one kind
                same = [i for i, tensor in enumerate(tensors) if tensor.dtype is dtype]
                both = [averages[i] for i in same], [tensors[i] for i in same]
                self._multi_avg_fn(*both, self._n_averaged)
        else:
            for average, new in zip(averages, tensors, strict=True):
                if self._n_averaged > 0:
                    moved = new.to(average.device)
                    new = self._avg_fn(average, moved, self._n_averaged)
                average.copy_(new)
        self._n_averaged += 1

    def on_exception(self, trainer: Trainer, pl_module: Module, *_: Any) -> None:
        """Give the module its weights back if validation was interrupted."""
        if self._swapped:
            self._swap(trainer, pl_module)

    @torch.no_grad()
    def _swap(self, trainer: Trainer, pl_module: Module) -> None:
        """Exchange average and weights: to validate the average, and to go on training."""
        if self._averages is not None:
            for name, tensor in _parameters_and_buffers(pl_module).items():
                former = tensor.clone()
                tensor.copy_(self._averages[name])
                self._averages[name].copy_(former)
            self._swapped = not self._swapped

    on_validation_epoch_start = on_validation_epoch_end = _swap

    @torch.no_grad()
    def on_train_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Leave the average in the module."""
        assert self._averages is not None
        for name, tensor in _parameters_and_buffers(pl_module).items():
            tensor.copy_(self._averages[name])

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: Module, checkpoint: dict[str, Any]
    ) -> None:
        """Put the average into `state_dict`, the weights in training beside it."""
        if self._averages is None:
            return
        names = {id(t): name for name, t in _parameters_and_buffers(pl_module).items()}
        # Tied weights have several names.
        tensors = pl_module.state_dict(keep_vars=True)
        state = checkpoint["state_dict"]
        other = {
            name: self._averages.get(names.get(id(tensors[name]), ""), value)
            for name, value in state.items()
        }
        both = (other, state) if self._swapped else (state, other)
        checkpoint["current_model_state"], checkpoint["state_dict"] = both
        checkpoint["averaging_state"] = {"n_averaged": self._n_averaged.clone()}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: Module, checkpoint: dict[str, Any]
    ) -> None:
        """Take the average from `state_dict`, and resume from the weights in training."""
        if trainer.state.fn != "fit":
            return
        self._averages = dict(checkpoint["state_dict"])
        if "current_model_state" in checkpoint:
            self._n_averaged = checkpoint["averaging_state"]["n_averaged"].cpu()
            pl_module.load_state_dict(checkpoint["current_model_state"])
        else:
            rank_zero_warn(
                f"The checkpoint was written without {type(self).__name__}: the average"
                " starts from its weights."
            )


def _parameters_and_buffers(module: torch.nn.Module) -> dict[str, Tensor]:
    """All tensors of a module by name, also those that its state leaves out."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


class EMAWeightAveraging(WeightAveraging):
    """Keep an exponential moving average of the weights.

    Args:
        device: where the average is kept; by default where the weights are.
        use_buffers: average buffers too; otherwise they are copied as they are.
        decay: weight of the former average.
        update_every_n_steps: update at every n-th optimizer step.
        update_starting_at_step: the first step, from 0, to update at.
        update_starting_at_epoch: the first epoch, from 0, to update at the end of.

    Raises:
        MisconfigurationError: `decay` is not from 0 to 1.
    """

    def __init__(
        self,
        device: torch.device | str | int | None = None,
        use_buffers: bool = True,
        decay: float = 0.999,
        update_every_n_steps: int = 1,
        update_starting_at_step: int | None = None,
        update_starting_at_epoch: int | None = None,
    ) -> None:
        wrong = not isinstance(decay, Real) or not 0.0 <= decay <= 1.0
        refuse_if(self, wrong, f"decay={decay!r} must be from 0.0 to 1.0")
        refuse_unless_count(self, 0, update_every_n_steps=update_every_n_steps)
        super().__init__(device, use_buffers, avg_fn=get_ema_avg_fn(decay))
        self.decay, self.update_every_n_steps = decay, update_every_n_steps
        self.update_starting_at_step = update_starting_at_step
        self.update_starting_at_epoch = update_starting_at_epoch

    def should_update(
        self, step_idx: int | None = None, epoch_idx: int | None = None
    ) -> bool:
        """Whether the step or the epoch is one of those asked for."""
        if step_idx is not None:
            first, every = self.update_starting_at_step or 0, self.update_every_n_steps
            return step_idx >= first and every > 0 and step_idx % every == 0
        start = self.update_starting_at_epoch
        return start is not None and epoch_idx is not None and epoch_idx >= start
