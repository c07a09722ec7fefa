"""Run in a project: `every_step.py FOLDER [CHECKPOINT...]`.

Trains for 2 epochs of 8 steps, saves after each step, and writes how the run ended to
FOLDER/whole.pt; or resumes each of the checkpoints, and writes its end beside it.
"""

import importlib
import sys
from pathlib import Path

import torch

import scaffold_runtime as L
from scaffold_runtime.callbacks import ModelCheckpoint
from tests.reliability.recorded_run import QUIET, SaveEverywhere, outcome

BATCH_SIZE = 152  # of 1,211 images: eight batches, the last one smaller
images = importlib.import_module("my_digits.images")
Data = importlib.import_module("my_digits.data").Data
Model = importlib.import_module("my_digits.model").Model


class SaveAfterEachStep(SaveEverywhere):
    """Of all the places only the one after a batch."""

    def save(self, trainer, place):
        if place == "train_batch_end":
            super().save(trainer, place)


class Seen(torch.utils.data.Dataset):
    """The training images, and which of them were asked for."""

    def __init__(self, images):
        self.images, self.indices = images, []

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.indices.append(index)
        return self.images[index]

    def __getattr__(self, name):
        return getattr(self.__dict__["images"], name)


def train(folder, *callbacks, seed=0, ckpt_path=None):
    """How a run ends: everything that must be equal, and the images it saw in order."""
    torch.manual_seed(1)  # the same weights at first, whatever the seed of the run
    data = Data(batch_size=BATCH_SIZE)
    seen = data.splits["train"] = Seen(data.splits["train"])
    model = Model(data.image_shape, data.classes, widths=(8, 16))
    L.seed_everything(seed, verbose=False)
    best = ModelCheckpoint(folder / "best", save_top_k=0)
    options = {**QUIET, "max_epochs": 2, "callbacks": [best, *callbacks]}
    trainer = L.Trainer(default_root_dir=folder, **options)
    trainer.fit(model, data, ckpt_path=ckpt_path)
    return {"end": outcome(trainer), "seen": seen.indices}


def main(folder, checkpoints):
    for path in checkpoints:
        torch.save(train(folder, seed=5, ckpt_path=path), path.with_suffix(".pt"))
    if not checkpoints:
        torch.save(train(folder, SaveAfterEachStep(folder)), folder / "whole.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), list(map(Path, sys.argv[2:])))
