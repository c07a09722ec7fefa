"""{{ class_name }}, driven through a real fit."""

import pytest
import scaffold_runtime as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from {{ package }}.callbacks.{{ name }} import {{ class_name }}


class Line(L.LightningModule):
    """The smallest model that can be fitted."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        (inputs,) = batch  # (B, 1)
        return torch.mean(self.layer(inputs).square())

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.training_step(batch, batch_idx)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_its_hooks_are_called(capsys: pytest.CaptureFixture[str]) -> None:
    loader = DataLoader(TensorDataset(torch.ones(4, 1)), batch_size=2)
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=[{{ class_name }}()],
    )
    trainer.fit(Line(), loader, loader)
    printed = capsys.readouterr().out
    for hook in {{ python(hook) }}:
        assert f"{{ class_name }}.{hook}:" in printed
