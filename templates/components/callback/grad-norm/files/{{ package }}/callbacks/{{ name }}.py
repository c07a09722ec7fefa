"""{{ class_name }}: how large the gradient is."""

import scaffold_runtime as L
import torch
from torch.nn.utils import get_total_norm


class {{ class_name }}(L.Callback):
    """Log the norm of the gradient that an optimizer uses, before it is clipped.

    Args:
        every_n_steps: Optimizer steps from one value to the next.
    """

    def __init__(self, every_n_steps: int = 10) -> None:
        self.every_n_steps = every_n_steps

    def on_before_optimizer_step(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Log `grad_norm`."""
        if trainer.global_step % self.every_n_steps == 0:
            groups = optimizer.param_groups
            used = [p.grad for group in groups for p in group["params"]]
            gradients = [gradient for gradient in used if gradient is not None]
            pl_module.log("grad_norm", get_total_norm(gradients))
