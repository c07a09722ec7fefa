"""Learning rates, losses, suggestions and batch sizes that Lightning's Tuner finds."""

import logging
import warnings

import lightning
import pytest
import torch
from lightning.pytorch.tuner import Tuner as LightningTuner
from torch import nn
from torch.utils.data import DataLoader

import scaffold_runtime
from scaffold_runtime.tuner import Tuner
from tests.parity.twin import bits, loader

TUNERS = ((lightning, LightningTuner), (scaffold_runtime, Tuner))


def module(L, fits=10**9, samples=96):
    """A small network that has memory for batches of `fits` samples."""

    class Net(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.lr, self.batch_size = 0.5, 4
            self.network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
            for parameter in self.parameters():
                count = torch.arange(parameter.numel(), dtype=torch.float32)
                parameter.data = torch.sin(count + 1).reshape(parameter.shape)

        def training_step(self, batch, batch_idx):
            x, y = batch
            if len(x) > fits:
                raise RuntimeError("CUDA error: out of memory")
            return nn.functional.mse_loss(self.network(x), y)

        validation_step = test_step = training_step

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.5)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

        def train_dataloader(self):
            return DataLoader(loader(samples, 1).dataset, batch_size=self.batch_size)

        val_dataloader = test_dataloader = train_dataloader

    return Net()


@pytest.fixture(autouse=True)
def silence():
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def trainer(L, folder, **arguments):
    return L.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **{"max_epochs": 100, **arguments},
    )


@pytest.mark.parametrize(
    ("arguments", "of_trainer"),
    [
        ({}, {}),
        ({"mode": "linear", "min_lr": 1e-3, "max_lr": 2.0, "num_training": 30}, {}),
        ({"max_lr": 1e4, "num_training": 40}, {}),
        ({"max_lr": 1e4, "num_training": 40, "early_stop_threshold": None}, {}),
        ({"max_lr": 1e4, "num_training": 40, "early_stop_threshold": 1.5}, {}),
        ({"num_training": 25}, {"accumulate_grad_batches": 3}),
        ({"num_training": 25}, {"max_epochs": 1, "gradient_clip_val": 0.1}),
        ({"num_training": 25, "max_lr": 1e5}, {"min_steps": 20}),
        ({"num_training": 20}, {"precision": "bf16-mixed"}),
    ],
    ids=str,
)
def test_learning_rates_and_losses_are_bitwise_lightnings(
    arguments, of_trainer, tmp_path
):
    found = []
    for L, tuner in TUNERS:
        model = module(L)
        finder = tuner(trainer(L, tmp_path, **of_trainer)).lr_find(model, **arguments)
        results = {
            key: [bits(value) for value in values]
            for key, values in finder.results.items()
        }
        suggestions = [finder.suggestion(skip_begin=n) for n in (10, 0, 3)]
        found.append((results, suggestions, finder.suggestion(2, 5), model.lr))
    theirs, ours = found
    assert ours == theirs
    assert len(ours[0]["loss"]) > 5


HALVED = {"mode": "binsearch", "margin": 0}


@pytest.mark.parametrize(
    ("arguments", "fits", "method"),
    [
        ({}, 5, "fit"),
        ({}, 33, "fit"),
        ({}, 20, "validate"),
        ({"init_val": 3, "max_trials": 3}, 20, "test"),
        (HALVED, 20, "fit"),
        (HALVED, 33, "validate"),
        ({"mode": "binsearch"}, 33, "test"),
        ({**HALVED, "init_val": 3, "max_trials": 4, "margin": 0.3}, 33, "fit"),
    ],
    ids=str,
)
def test_the_batch_size_is_lightnings(arguments, fits, method, tmp_path):
    found = []
    for L, tuner in TUNERS:
        model = module(L, fits)
        run = trainer(L, tmp_path, max_epochs=1)
        size = tuner(run).scale_batch_size(model, method=method, **arguments)
        found.append((size, model.batch_size))
    theirs, ours = found
    assert ours == theirs


def test_the_largest_batch_size_is_lightnings(tmp_path):
    sizes = []
    for L, tuner in TUNERS:
        search = tuner(trainer(L, tmp_path)).scale_batch_size
        sizes += [search(module(L), max_val=32), search(module(L), max_val=10**9)]
    assert sizes[:2] == sizes[2:] == [32, 128]
