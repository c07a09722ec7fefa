"""Saves the gradients of one step: `torchrun tests/gradients.py IMAGES FILE`."""

import sys
from pathlib import Path

import scaffold_runtime as L
import torch
from torch import Tensor
from torch.optim import Optimizer

from {{ package }}.data import Data
from {{ package }}.model import Model


class SaveGradients(L.Callback):
    """Write the gradients that each of the two optimizers is about to use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.gradients: dict[str, Tensor] = {}

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Keep those of its own network."""
        own = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for name, parameter in pl_module.named_parameters():
            if id(parameter) in own:
                assert parameter.grad is not None, name
                self.gradients[name] = parameter.grad.clone()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Every process has the same ones: the first writes them."""
        if trainer.is_global_zero:
            torch.save(self.gradients, self.path)


def main(images: Path, path: Path) -> None:
    """Take a step of both networks on the first batch."""
    L.seed_everything(0)
    data = Data(images, batch_size=16)
    model = Model(data.image_shape, data.classes, widths=(8, 16))
    trainer = L.Trainer(
        accelerator="cpu",
        strategy="ddp",
        max_epochs=1,
        limit_train_batches=1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        callbacks=[SaveGradients(path)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(model, data)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
