"""{{ class_name }}: the rest of the model first, then all of it."""

import scaffold_runtime as L
from scaffold_runtime.callbacks import BaseFinetuning
from torch.optim import Optimizer


class {{ class_name }}(BaseFinetuning):
    """Keep a part of the model frozen for the first epochs.

    Args:
        module: The model's attribute.
        epochs: How many epochs it stays frozen.
    """

    def __init__(self, module: str = {{ python(module) }}, epochs: int = 1) -> None:
        super().__init__()
        self.module = module
        self.epochs = epochs

    def freeze_before_training(self, pl_module: L.LightningModule) -> None:
        """Freeze it."""
        self.freeze(getattr(pl_module, self.module))

    def finetune_function(
        self, pl_module: L.LightningModule, epoch: int, optimizer: Optimizer
    ) -> None:
        """Unfreeze it when its time has come; the optimizer has its parameters."""
        if epoch == self.epochs:
            self.make_trainable(getattr(pl_module, self.module))
