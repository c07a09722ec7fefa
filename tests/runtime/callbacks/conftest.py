import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import scaffold_runtime as L


class Net(L.LightningModule):
    """A line fitted to 32 points; `values` are logged as val_loss, one a validation."""

    def __init__(self, values=()):
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.values = list(values)
        self.validations = 0

    def forward(self, x):
        return self.layer(x)

    def training_step(self, batch, batch_idx):
        loss = nn.functional.mse_loss(self(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        value = nn.functional.mse_loss(self(batch[0]), batch[1])
        if self.values:
            value = torch.tensor(self.values[self.validations])
        self.log("val_loss", value, prog_bar=True)

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            self.validations += 1

    def test_step(self, batch, batch_idx):
        self.log("test_loss", nn.functional.mse_loss(self(batch[0]), batch[1]))

    def predict_step(self, batch, batch_idx):
        return self(batch[0])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)

    def train_dataloader(self):
        return loader(shuffle=True)

    def val_dataloader(self):
        return loader()

    def test_dataloader(self):
        return loader()

    def predict_dataloader(self):
        return loader()


def loader(shuffle=False, samples=32, batch_size=8):
    x = torch.linspace(-1, 1, 2 * samples).reshape(samples, 2)
    data = TensorDataset(x, x.sum(1, True))
    return DataLoader(data, batch_size=batch_size, shuffle=shuffle)


QUIET = {
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "logger": False,
    "num_sanity_val_steps": 0,
}


@pytest.fixture
def net():
    """The model class."""
    torch.manual_seed(0)
    return Net


@pytest.fixture
def make_trainer(tmp_path):
    """A Trainer in a folder of its own that says nothing unless asked to."""

    def make(*callbacks, **options):
        options = {**QUIET, "default_root_dir": tmp_path, **options}
        options.setdefault(
            "enable_checkpointing",
            any(isinstance(c, L.callbacks.Checkpoint) for c in callbacks),
        )
        return L.Trainer(callbacks=list(callbacks), **options)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*num_workers.*")
        yield make
