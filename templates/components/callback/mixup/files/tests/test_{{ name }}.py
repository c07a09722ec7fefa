"""{{ class_name }}, driven through a real fit."""

import pytest
import scaffold_runtime as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from {{ package }}.callbacks.{{ name }} import {{ class_name }}

IMAGES = 500


class Look(L.LightningModule):
    """Remembers what it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(IMAGES, 1)
        self.batches: list[list[Tensor]] = []

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        self.batches.append(batch)
        images, _ = batch  # (B, 1, 1, IMAGES)
        return torch.mean(self.layer(images).square())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_an_image_is_mixed_with_one_other_and_keeps_its_label() -> None:
    L.seed_everything(0)
    model = Look()
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=[{{ class_name }}(alpha=1.0)],
    )
    # Each image has a pixel of its own: what is in it tells the shares of the others.
    images = torch.eye(IMAGES).view(IMAGES, 1, 1, IMAGES)
    samples = TensorDataset(images, torch.arange(IMAGES))
    trainer.fit(model, DataLoader(samples, batch_size=IMAGES))
    [(mixed, labels)] = model.batches
    shares = mixed.flatten(1)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(IMAGES))
    assert (shares > 0).sum(dim=1).max() == 2
    assert labels.tolist() == list(range(IMAGES))
    # Of Beta(2, 1): 2 / 3, with a standard deviation of 0.24 / sqrt(500).
    assert shares.diagonal().mean().item() == pytest.approx(2 / 3, abs=0.04)
