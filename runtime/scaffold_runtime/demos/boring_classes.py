"""The smallest models and data that every entry point of a Trainer can run."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, Dataset, random_split

from scaffold_runtime.data import DataModule
from scaffold_runtime.module import Module


class RandomDataset(Dataset[Tensor]):
    """Samples drawn once from a normal distribution.

    Args:
        size: numbers of a sample.
        length: samples.
    """

    def __init__(self, size: int, length: int) -> None:
        self.len, self.data = length, torch.randn(length, size)

    def __getitem__(self, index: int) -> Tensor:
        return self.data[index]

    def __len__(self) -> int:
        return self.len


class BoringModel(Module):
    """A linear layer that learns to answer ones; it brings its data."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Two numbers a sample.

        Shapes: (batch, 32) -> (batch, 2).
        """
        return self.layer(x)  # type: ignore[no-any-return]

    def loss(self, preds: Tensor, labels: Tensor | None = None) -> Tensor:
        """The mean squared error, to ones where there are no labels."""
        labels = torch.ones_like(preds) if labels is None else labels
        return nn.functional.mse_loss(preds, labels)

    def step(self, batch: Tensor) -> Tensor:
        """The loss of a batch."""
        return self.loss(self(batch))

    def training_step(self, batch: Tensor, batch_idx: int) -> Any:
        """The loss under `loss`."""
        return {"loss": self.step(batch)}

    def validation_step(self, batch: Tensor, batch_idx: int) -> Any:
        """The loss under `x`."""
        return {"x": self.step(batch)}

    def test_step(self, batch: Tensor, batch_idx: int) -> Any:
        """The loss under `y`."""
        return {"y": self.step(batch)}

    def configure_optimizers(self) -> Any:
        """SGD, its rate a tenth after each epoch."""
        optimizer = SGD(self.layer.parameters(), lr=0.1)
        return [optimizer], [StepLR(optimizer, step_size=1)]

    def train_dataloader(self) -> DataLoader[Tensor]:
        """64 batches of one sample."""
        return DataLoader(RandomDataset(32, 64))

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


class DemoModel(Module):
    """A layer with a ReLU and two hyperparameters, for trying out a command line.

    Args:
        out_dim: numbers that it answers.
        learning_rate: Adam's.
    """

    def __init__(self, out_dim: int = 10, learning_rate: float = 0.02) -> None:
        super().__init__()
        self.l1 = nn.Linear(32, out_dim)
        self.learning_rate = learning_rate

    def forward(self, x: Tensor) -> Tensor:
        """Numbers from 0.

        Shapes: (batch, ...), 32 numbers a sample -> (batch, out_dim).
        """
        return torch.relu(self.l1(x.flatten(1)))

    def training_step(self, batch: Tensor, batch_nb: int) -> Tensor:
        """The sum of all answers."""
        return self(batch).sum()  # type: ignore[no-any-return]

    def configure_optimizers(self) -> Adam:
        """Adam."""
        return Adam(self.parameters(), lr=self.learning_rate)


class BoringDataModule(DataModule):
    """256 random samples of 32 numbers, a quarter for each entry point, in batches of one."""

    def setup(self, stage: str) -> None:
        """Draw the samples and deal them out."""
        quarters = random_split(RandomDataset(32, 256), [64] * 4)
        self.random_train, self.random_val, *rest = quarters
        self.random_test, self.random_predict = rest

    def train_dataloader(self) -> DataLoader[Tensor]:
        """64 batches, as for every entry point."""
        return DataLoader(self.random_train)

    def val_dataloader(self) -> DataLoader[Tensor]:
        """64 other batches."""
        return DataLoader(self.random_val)

    def test_dataloader(self) -> DataLoader[Tensor]:
        """64 other batches."""
        return DataLoader(self.random_test)

    def predict_dataloader(self) -> DataLoader[Tensor]:
        """64 other batches."""
        return DataLoader(self.random_predict)
