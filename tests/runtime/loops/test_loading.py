"""Where loaders come from, how many of their batches are taken, and how they travel."""

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import scaffold_runtime as L
from tests.runtime.callbacks.conftest import loader


def seen_samples(net, make_trainer, **arguments):
    """The samples of each epoch, in the order they were trained on."""
    epochs = []

    class Watching(net):
        def on_train_epoch_start(self):
            epochs.append([])

        def training_step(self, batch, batch_idx):
            epochs[-1] += batch[0][:, 0].tolist()
            return super().training_step(batch, batch_idx)

    make_trainer(max_epochs=2, **arguments).fit(Watching())
    return epochs


def test_shuffled_epochs_differ_and_hold_every_sample_once(net, make_trainer):
    first, second = seen_samples(net, make_trainer)
    assert first != second
    assert sorted(first) == sorted(second) == sorted(set(first))
    assert len(first) == 32


def test_overfitting_takes_the_same_batches_in_order(net, make_trainer):
    with pytest.warns(UserWarning, match="not shuffled"):
        first, second = seen_samples(net, make_trainer, overfit_batches=2)
    assert first == second == sorted(first)
    assert len(first) == 16


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_shuffled_data_of_an_evaluation_is_told(stage, net, make_trainer):
    with pytest.warns(UserWarning, match=f"what {stage} sees is shuffled"):
        getattr(make_trainer(), stage)(net(), loader(shuffle=True))


@pytest.mark.parametrize(
    ("limit", "batches"), [(2, 2), (0.5, 2), (1.0, 4), (99, 4), (0.99, 3), (None, 4)]
)
def test_a_limit_is_a_number_or_a_share(limit, batches, net, make_trainer):
    trainer = make_trainer(max_epochs=1, limit_train_batches=limit)
    trainer.fit(net())
    assert (trainer.num_training_batches, trainer.global_step) == (batches, batches)


def test_a_share_that_leaves_nothing_is_refused(net, make_trainer):
    with pytest.raises(L.MisconfigurationError, match=r"0\.25"):
        make_trainer(max_epochs=1, limit_train_batches=0.1).fit(net())


@pytest.mark.parametrize("returned", [None, 5])
def test_what_is_no_loader_is_refused_by_hook_and_type(returned, net, make_trainer):
    class Odd(net):
        def train_dataloader(self):
            return returned

    with pytest.raises(L.MisconfigurationError, match=type(returned).__name__):
        make_trainer(max_epochs=1).fit(Odd())


def test_a_loader_without_any_batch_is_told(net, make_trainer):
    trainer = make_trainer(max_epochs=1)
    with pytest.warns(UserWarning, match="val_dataloader gave a loader that has no"):
        trainer.fit(net(), loader(), [[]])
    with pytest.warns(UserWarning, match="train_dataloader gave a loader that has no"):
        trainer.fit(net(), [])


def test_validation_more_rarely_than_an_epoch_is_refused(net, make_trainer):
    with pytest.raises(L.MisconfigurationError, match="val_check_interval=9"):
        make_trainer(max_epochs=1, val_check_interval=9).fit(net())


class Pair(NamedTuple):
    x: torch.Tensor
    y: torch.Tensor


@dataclass
class Record:
    x: torch.Tensor
    y: list


@pytest.mark.parametrize(
    "batch",
    [
        {"x": torch.ones(2), "more": [torch.ones(1), "text", None]},
        Pair(torch.ones(2), torch.zeros(1)),
        Record(torch.ones(2), [torch.zeros(1)]),
        (torch.ones(2), {"deep": (torch.ones(1),)}),
    ],
    ids=lambda batch: type(batch).__name__,
)
def test_a_batch_of_any_nesting_reaches_the_step_in_its_precision(
    batch, net, make_trainer
):
    seen = []

    class Watching(net):
        def predict_step(self, batch, batch_idx):
            seen.append(batch)

    make_trainer(precision="64-true").predict(Watching(), [[batch]])
    assert type(seen[0]) is type(batch)
    first = seen[0]["x"] if isinstance(batch, dict) else None
    first = getattr(seen[0], "x", first)
    first = seen[0][0] if first is None else first
    assert first.dtype is torch.float64


def test_the_data_modules_transfer_comes_before_the_modules(net, make_trainer):
    order = []

    class Data(L.LightningDataModule):
        def train_dataloader(self):
            return DataLoader(TensorDataset(torch.ones(4, 2), torch.ones(4, 1)))

        def on_before_batch_transfer(self, batch, dataloader_idx):
            order.append("data before")
            return batch

        def on_after_batch_transfer(self, batch, dataloader_idx):
            order.append("data after")
            return [batch[0] * 2, batch[1]]

    class Watching(net):
        def on_before_batch_transfer(self, batch, dataloader_idx):
            order.append("module before")
            return batch

        def training_step(self, batch, batch_idx):
            assert batch[0].tolist() == [[2.0, 2.0]]
            return super().training_step(batch, batch_idx)

    make_trainer(max_steps=1, limit_val_batches=0).fit(Watching(), datamodule=Data())
    assert order == ["data before", "data after"]


def test_loaders_are_asked_for_anew_when_told_so(net, make_trainer):
    asked = []

    class Counting(net):
        def train_dataloader(self):
            asked.append(self.current_epoch)
            return loader()

    make_trainer(max_epochs=5, reload_dataloaders_every_n_epochs=2).fit(Counting())
    assert asked == [0, 2, 4]


def test_the_trainer_shows_its_loaders_in_the_collection_that_was_given(
    net, make_trainer
):
    class Data(L.LightningDataModule):
        def train_dataloader(self):
            return {"one": loader(), "more": (loader(), loader(samples=8))}

        def val_dataloader(self):
            return {"one": loader(), "other": loader(samples=8)}

        def test_dataloader(self):
            return [loader()]

    class Several(net):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch["one"], batch_idx)

        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            return super().validation_step(batch, batch_idx)

    trainer = make_trainer(max_epochs=1)
    trainer.fit(Several(), datamodule=Data())
    assert trainer.train_dataloader.keys() == {"one", "more"}
    assert [len(each) for each in trainer.train_dataloader["more"]] == [4, 1]
    assert [len(each) for each in trainer.val_dataloaders.values()] == [4, 1]
    trainer.test(Several(), Data(), verbose=False)
    assert isinstance(trainer.test_dataloaders, list)
    trainer.predict(net(), loader())
    assert len(trainer.predict_dataloaders) == 4


def test_loaders_beside_a_data_module_are_refused(net, make_trainer):
    with pytest.raises(L.MisconfigurationError, match="loaders and a data module"):
        make_trainer(max_epochs=1).fit(net(), loader(), datamodule=L.DataModule())


@pytest.mark.parametrize("limit", [1.0, 0.5, 3])
def test_an_empty_loader_is_told(limit, net, make_trainer):
    trainer = make_trainer(max_epochs=1, limit_val_batches=limit)
    with pytest.warns(UserWarning, match=r"limit_val_batches .* the loader is empty"):
        trainer.fit(net(), loader(), loader(samples=0))
    assert (trainer.global_step, trainer.num_val_batches) == (4, [0])
