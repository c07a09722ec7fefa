"""`CombinedLoader`, and collections of loaders, give what Lightning's give."""

import pytest
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

import scaffold_runtime
from tests.parity.twin import FRAMEWORKS

COMBINED = {"lightning": CombinedLoader, "ours": scaffold_runtime.CombinedLoader}
MODES = ("min_size", "max_size_cycle", "max_size", "sequential")


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.arange(5.0))


def loader(samples, batch_size=2):
    return DataLoader(torch.arange(float(samples)), batch_size)


COLLECTIONS = {
    "list": lambda: [loader(4), loader(7)],
    "tuple": lambda: (loader(7), loader(4), loader(1)),
    "dict": lambda: {"a": loader(4), "b": range(3)},
    "nested": lambda: {"a": [loader(4), loader(3)], "b": (loader(9), {"c": range(2)})},
    "equal": lambda: [loader(4), loader(4)],
    "one": lambda: loader(5),
    "one in a list": lambda: [loader(5)],
    "with an empty one": lambda: [loader(0), loader(3)],
    "streams": lambda: [DataLoader(Stream(), 2), loader(3)],
}


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(plain, value))
    return value.tolist() if isinstance(value, torch.Tensor) else value


def length(combined):
    try:
        return len(combined)
    except TypeError:
        return None


@pytest.mark.parametrize("limits", [None, 2])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", COLLECTIONS)
def test_iterating_gives_the_same(name, mode, limits):
    seen = {}
    for framework, make in COMBINED.items():
        combined = make(COLLECTIONS[name](), mode)
        if limits is not None:
            combined.limits = [limits] * len(combined.flattened)
        batches = [plain(tuple(item)) for item in iter(combined)]
        again = [plain(tuple(item)) for item in iter(combined)]
        seen[framework] = batches, again, length(combined)
    assert seen["ours"] == seen["lightning"]


def run(framework, folder, train, val=None, **arguments):
    """Batches that training and validation saw, and the trainer's counts."""
    lib, seen = FRAMEWORKS[framework], []

    class Net(lib.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def training_step(self, batch, batch_idx):
            seen.append(("train", batch_idx, plain(batch)))
            return self.layer(torch.ones(1)).sum()

        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            seen.append(("val", batch_idx, dataloader_idx, plain(batch)))
            self.log("x", 1.0, batch_size=1)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    trainer = lib.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **arguments,
    )
    trainer.fit(Net(), train(COMBINED[framework]), val and val(COMBINED[framework]))
    steps, batches = trainer.global_step, trainer.num_training_batches
    return seen, steps, batches, sorted(trainer.callback_metrics)


def same(tmp_path, *data, **arguments):
    ours, theirs = (
        run(name, tmp_path, *data, **arguments) for name in ("ours", "lightning")
    )
    assert ours == theirs
    assert ours[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("limit", [1.0, 2, 0.5])
@pytest.mark.parametrize("name", ["list", "tuple", "dict", "nested", "one in a list"])
def test_a_collection_of_training_loaders_is_cycled(name, limit, tmp_path):
    if name in ("tuple", "nested") and limit == 0.5:
        limit = 3  # half of a loader of one batch is refused by both
    same(tmp_path, lambda _: COLLECTIONS[name](), limit_train_batches=limit)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("limit", [1.0, 1])
def test_a_combined_loader_trains_and_validates(mode, limit, tmp_path):
    def make(combined):
        return combined({"a": loader(4), "b": loader(7)}, mode)

    train = make if mode != "sequential" else lambda _: loader(4)
    limits = {"limit_train_batches": limit, "limit_val_batches": limit}
    same(tmp_path, train, make, num_sanity_val_steps=1, **limits)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["list", "dict", "nested"])
def test_a_collection_is_validated_one_after_the_other(name, tmp_path):
    same(tmp_path, lambda _: loader(4), lambda _: COLLECTIONS[name]())


def test_a_stream_among_them_has_no_length(tmp_path):
    same(tmp_path, lambda combined: COLLECTIONS["streams"]())
