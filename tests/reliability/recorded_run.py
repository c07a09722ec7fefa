"""A training run in which every fault of a resume shows.

Distinct samples in shuffled order, augmentation and dropout that draw from every global
generator, batch statistics, a scheduler a step, metrics of steps and epochs, two epochs of
eight batches of which the last is smaller.
"""

import math
import random
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import scaffold_runtime as L
from scaffold_runtime.seed import random_state

EPOCHS, BATCHES, BATCH_SIZE = 2, 8, 3
SAMPLES = BATCHES * BATCH_SIZE - 1
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


class Samples(Dataset):
    """Distinct samples, each augmented from the global generators, with their numbers."""

    def __init__(self, samples=SAMPLES, augment=True):
        self.x = torch.randn(samples, 4, generator=torch.Generator().manual_seed(1))
        self.augment = augment

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        x = self.x[index]
        if self.augment:
            noise = torch.randn(4) + random.random() + float(np.random.rand())
            x = x + 0.1 * noise
        return x, x.sum(), index


class Net(L.LightningModule):
    """Remembers which samples it was trained on; logs by step, by epoch and by validation."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1)
        )
        self.seen = []

    def training_step(self, batch, batch_idx):
        x, y, ids = batch
        self.seen.append((self.current_epoch, batch_idx, ids.tolist()))
        loss = nn.functional.mse_loss(self.layers(x)[:, 0], y)
        self.log("loss", loss, on_step=True, on_epoch=True)
        self.log("largest", loss.detach(), on_step=False, on_epoch=True, reduce_fx=max)
        return loss

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        x, y, _ = batch
        loss = nn.functional.mse_loss(self.layers(x + 0.1 * torch.randn(4))[:, 0], y)
        self.log("val_loss", loss)

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.05)
        steps = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * BATCHES)
        epochs = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.7)
        return [optimizer], [{"scheduler": steps, "interval": "step"}, epochs]


class SaveEverywhere(L.Callback):
    """Writes a checkpoint wherever a run may be stopped, after all other callbacks."""

    after_module = runs_last = True

    def __init__(self, folder):
        self.folder, self.written = Path(folder), []

    def save(self, trainer, place):
        path = self.folder / f"{len(self.written):02d}-{place}.ckpt"
        trainer.save_checkpoint(path)
        self.written.append(path)

    def on_train_start(self, trainer, pl_module):
        self.save(trainer, "train_start")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.save(trainer, "train_batch_end")

    def on_validation_batch_end(self, trainer, *_):
        self.save(trainer, "validation_batch_end")

    def on_validation_end(self, trainer, pl_module):
        self.save(trainer, "validation_end")

    def on_train_epoch_end(self, trainer, pl_module):
        self.save(trainer, "train_epoch_end")


def loader(workers=0, dataset=None, **arguments):
    """The loader that a user would write."""
    options = {"shuffle": True, "batch_size": BATCH_SIZE, **arguments}
    return DataLoader(dataset or Samples(), num_workers=workers, **options)


def fit(
    root, *callbacks, ckpt_path=None, data=None, net=Net, seed=0, val=None, **options
):
    """Train and return the trainer; whatever the process drew before must not matter."""
    torch.manual_seed(1)  # the same weights at first, whatever the seed of the run
    module = net()
    L.seed_everything(seed, verbose=False)
    options = {"max_epochs": EPOCHS, "enable_checkpointing": False, **QUIET, **options}
    trainer = L.Trainer(default_root_dir=root, callbacks=list(callbacks), **options)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(num_workers|suggested max).*")
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
        trainer.fit(
            module, loader() if data is None else data, val, ckpt_path=ckpt_path
        )
    return trainer


def run_case(root, *extra, ckpt_path=None, seed=0, callbacks=list, data=loader, **case):
    """One run of a case, in which nothing is shared with another run."""
    val = case.pop("val", lambda: None)()
    return fit(
        root,
        *callbacks(),
        *extra,
        ckpt_path=ckpt_path,
        seed=seed,
        data=data(),
        val=val,
        **case,
    )


def outcome(trainer):
    """All that two equal runs end with, as nested plain data and tensors."""
    return {
        "weights": trainer.module.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
        "schedulers": [c.scheduler.state_dict() for c in trainer.lr_scheduler_configs],
        "callbacks": {
            callback.state_key: callback.state_dict()
            for callback in trainer.callbacks
            if not isinstance(callback, SaveEverywhere)
        },
        "metrics": dict(trainer.callback_metrics),
        "progress": trainer.progress.state_dict(),
        "random_state": random_state(),
    }


def differences(one, other, where=""):
    """Paths at which two nests of data differ by a single bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(set(one) | set(other), key=str)
        missing = [f"{where}.{k}" for k in keys if (k in one) != (k in other)]
        pairs = [
            (one[k], other[k], f"{where}.{k}") for k in keys if k in one and k in other
        ]
        return missing + [d for pair in pairs for d in differences(*pair)]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) != len(other):
            return [where]
        numbered = enumerate(zip(one, other, strict=True))
        return [d for i, pair in numbered for d in differences(*pair, f"{where}[{i}]")]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        same_kind = one.dtype == other.dtype and one.shape == other.shape
        equal = same_kind and bool(
            ((one == other) | (one.isnan() & other.isnan())).all()
        )
    elif isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        equal = math.isnan(other)
    else:
        equal = one == other
    return [] if equal else [where]
