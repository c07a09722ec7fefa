"""Data modules: made of data sets, kept in checkpoints, refused where they lack a loader."""

import pytest
import torch
from torch.utils.data import (
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
)

import scaffold_runtime as L
from tests.runtime.callbacks.conftest import loader


def test_data_sets_make_loaders_and_only_training_is_shuffled():
    eight, four, six = (TensorDataset(torch.ones(size)) for size in (8, 4, 6))
    data = L.LightningDataModule.from_datasets(eight, [four, six], batch_size=2)
    assert isinstance(data.train_dataloader().sampler, RandomSampler)
    lengths = [len(loader) for loader in data.val_dataloader()]
    assert lengths == [2, 3]
    assert isinstance(data.val_dataloader()[0].sampler, SequentialSampler)
    with pytest.raises(L.MisconfigurationError, match="test_dataloader"):
        data.test_dataloader()


def test_the_batch_size_is_passed_on_to_a_data_module_that_takes_it():
    class Own(L.LightningDataModule):
        def __init__(self, name, batch_size=1):
            super().__init__()
            self.save_hyperparameters()

    class Any(L.LightningDataModule):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.given = kwargs

    data = Own.from_datasets(TensorDataset(torch.ones(8)), batch_size=4, name="x")
    assert data.hparams == {"name": "x", "batch_size": 4}
    assert Any.from_datasets(batch_size=4).given == {"batch_size": 4, "num_workers": 0}


def test_data_sets_in_a_collection_make_loaders_in_one_like_it():
    given = {"a": TensorDataset(torch.ones(8)), "b": [TensorDataset(torch.ones(4))]}
    loaders = L.LightningDataModule.from_datasets(given).train_dataloader()
    assert (len(loaders["a"]), len(loaders["b"][0])) == (8, 4)


def test_an_iterable_data_set_is_not_shuffled():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter([torch.ones(1)] * 3)

    data = L.LightningDataModule.from_datasets(Stream())
    assert len(list(data.train_dataloader())) == 3


class Counting(L.LightningDataModule):
    def __init__(self, folder="here", size=8):
        super().__init__()
        self.save_hyperparameters()
        self.seen = 0

    def train_dataloader(self):
        return loader(samples=self.hparams.size)

    def state_dict(self):
        return {"seen": 5}

    def load_state_dict(self, state_dict):
        self.seen = state_dict["seen"]


@pytest.mark.parametrize("weights_only", [False, True])
def test_its_state_and_arguments_are_in_the_checkpoint(
    weights_only, net, make_trainer, tmp_path
):
    trainer = make_trainer(max_epochs=1, limit_val_batches=0)
    trainer.fit(net(), datamodule=Counting(size=16))
    trainer.save_checkpoint(tmp_path / "x.ckpt", weights_only)
    loaded = Counting.load_from_checkpoint(tmp_path / "x.ckpt", folder="there")
    assert (loaded.hparams.size, loaded.hparams.folder, loaded.seen) == (16, "there", 5)
    keys = (Counting.CHECKPOINT_HYPER_PARAMS_KEY, Counting.CHECKPOINT_HYPER_PARAMS_NAME)
    content = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert [content[key] for key in keys] == [
        dict(loaded.hparams, folder="here"),
        "kwargs",
    ]


def test_callbacks_see_its_state_when_they_add_to_a_checkpoint(
    net, make_trainer, tmp_path
):
    class Looking(L.Callback):
        def on_save_checkpoint(self, trainer, pl_module, checkpoint):
            self.saw = checkpoint["Counting"]

    looking = Looking()
    trainer = make_trainer(looking, max_epochs=1, limit_val_batches=0)
    trainer.fit(net(), datamodule=Counting())
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    assert looking.saw == {"seen": 5}


def test_its_state_comes_back_when_training_goes_on(net, make_trainer, tmp_path):
    trainer = make_trainer(max_epochs=1, limit_val_batches=0)
    trainer.fit(net(), datamodule=Counting())
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    resumed = Counting()
    resume = make_trainer(max_epochs=2, limit_val_batches=0)
    resume.fit(net(), datamodule=resumed, ckpt_path=tmp_path / "x.ckpt")
    assert resumed.seen == 5


def test_one_hyperparameter_of_two_values_is_refused(net, make_trainer, tmp_path):
    class Named(net):
        def __init__(self, folder="elsewhere"):
            super().__init__()
            self.save_hyperparameters()

    with pytest.raises(L.MisconfigurationError, match="'folder'"):
        make_trainer(max_epochs=1).fit(Named(), datamodule=Counting())


def test_it_hears_of_an_exception(net, make_trainer):
    heard = []

    class Listening(Counting):
        def on_exception(self, exception):
            heard.append(str(exception))

    class Failing(net):
        def training_step(self, batch, batch_idx):
            raise KeyError("x")

    with pytest.raises(KeyError):
        make_trainer(max_epochs=1).fit(Failing(), datamodule=Listening())
    assert heard == ["'x'"]


def test_it_knows_its_trainer(net, make_trainer):
    data, trainer = Counting(), make_trainer(max_epochs=1)
    trainer.fit(net(), datamodule=data)
    assert data.trainer is trainer
    assert trainer.datamodule is data
