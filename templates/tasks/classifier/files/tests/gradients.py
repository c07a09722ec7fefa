"""Saves the gradients of one step: `torchrun tests/gradients.py IMAGES FILE`."""

import sys
from pathlib import Path

import scaffold_runtime as L
import torch
from torch.optim import Optimizer

from {{ package }}.data import Data
from {{ package }}.model import Model


class SaveGradients(L.Callback):
    """Write the gradients that the optimizer is about to use."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Every process has the same ones: the first writes them."""
        if trainer.is_global_zero:
            gradients = {n: p.grad for n, p in pl_module.named_parameters()}
            torch.save(gradients, self.path)


def main(images: Path, path: Path) -> None:
    """Take one step on the first batch, without random changes of the images."""
    L.seed_everything(0)
    data = Data(images, batch_size=16, degrees=0.0, shift=0.0, zoom=0.0)
    model = Model(data.image_shape, data.classes, widths=(8, 16), dropout=0.0)
    trainer = L.Trainer(
        accelerator="cpu",
        strategy="ddp",
        max_steps=1,
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
