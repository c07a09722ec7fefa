"""{{ class_name }}, driven through a real fit."""

import scaffold_runtime as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from {{ package }}.callbacks.{{ name }} import {{ class_name }}, batch_size


class Line(L.LightningModule):
    """The smallest model that can be fitted."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        (inputs,) = batch  # (B, 1)
        return torch.mean(self.layer(inputs).square())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(callback: L.Callback, max_epochs: int = 1) -> L.Trainer:
    """Train on four numbers, two in a batch."""
    trainer = L.Trainer(
        max_epochs=max_epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=[callback],
    )
    trainer.fit(Line(), DataLoader(TensorDataset(torch.ones(4, 1)), batch_size=2))
    return trainer


def test_counts_samples() -> None:
    assert batch_size((torch.zeros(3, 1), torch.zeros(3))) == 3


def test_a_fit_runs_with_it() -> None:
    assert fit({{ class_name }}(window_size=1)).global_step == 2
