"""A project: a module, its data, and what a config may choose."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import scaffold_runtime as L
from scaffold_runtime.errors import DataError


class Activation(nn.Module):
    """Scale, then ReLU."""

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return torch.relu(x * self.scale)


class Model(L.LightningModule):
    """A line fitted to points."""

    def __init__(
        self,
        width: int = 4,
        learning_rate: float = 0.1,
        layers: list[int] | None = None,
        activation: nn.Module | None = None,
        api_key: str = "none",
    ):
        super().__init__()
        self.save_hyperparameters(ignore="activation")
        self.activation = activation
        self.layer = nn.Linear(4, width)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch[0]).pow(2).mean()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.layer(batch[0]).pow(2).mean())

    def test_step(self, batch, batch_idx):
        self.log("test_loss", self.layer(batch[0]).pow(2).mean())

    def predict_step(self, batch, batch_idx):
        return self.layer(batch[0])


class OwnOptimizer(Model):
    """Brings its optimizer."""

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.learning_rate)


class Data(L.LightningDataModule):
    """16 points; a missing folder is an error of the user's."""

    def __init__(self, batch_size: int = 4, folder: str = "here"):
        super().__init__()
        self.batch_size = batch_size
        self.width = 2 * batch_size
        if folder != "here":
            raise DataError(f"There is no folder {folder}: give another.")

    def loader(self):
        points = torch.arange(64.0).reshape(16, 4) / 64
        return DataLoader(TensorDataset(points), batch_size=self.batch_size)

    train_dataloader = val_dataloader = loader
    test_dataloader = predict_dataloader = loader


class Note(L.Callback):
    """Keeps what it was told."""

    def __init__(self, text: str = "", hf_token: str = ""):
        self.text = text
        self.hf_token = hf_token
