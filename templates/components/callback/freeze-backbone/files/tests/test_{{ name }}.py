"""{{ class_name }}, driven through a real fit."""

import scaffold_runtime as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from {{ package }}.callbacks.{{ name }} import {{ class_name }}


class Line(L.LightningModule):
    """The smallest model that has a part to freeze; remembers how that part moved."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = torch.nn.Linear(1, 1)
        self.head = torch.nn.Linear(1, 1)
        self.weights = [self.backbone.weight.item()]

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        (inputs,) = batch  # (B, 1)
        return torch.mean((self.head(self.backbone(inputs)) - 3).square())

    def on_train_epoch_end(self) -> None:
        self.weights.append(self.backbone.weight.item())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_it_moves_only_after_its_epochs() -> None:
    model = Line()
    trainer = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=[{{ class_name }}(module="backbone", epochs=1)],
    )
    trainer.fit(model, DataLoader(TensorDataset(torch.ones(4, 1)), batch_size=2))
    before, frozen, moved = model.weights
    assert before == frozen
    assert moved != frozen
