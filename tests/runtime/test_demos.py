"""The demonstration classes train as Lightning's do."""

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.demos import boring_classes as theirs

import scaffold_runtime as L
from scaffold_runtime.demos import boring_classes as ours

QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
}


def test_a_random_data_set_is_lightning_s():
    torch.manual_seed(0)
    expected = theirs.RandomDataset(3, 5)
    torch.manual_seed(0)
    data = ours.RandomDataset(3, 5)
    assert len(data) == len(expected) == 5
    assert all(torch.equal(data[i], expected[i]) for i in range(5))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("BoringModel", {}),
        ("DemoModel", {}),
        ("DemoModel", {"out_dim": 3, "learning_rate": 0.1}),
    ],
)
def test_weights_after_training_are_lightning_s(name, arguments):
    torch.manual_seed(0)
    data = torch.utils.data.DataLoader(ours.RandomDataset(32, 20), batch_size=4)
    first = getattr(ours, name)(**arguments)
    second = getattr(theirs, name)(**arguments)
    second.load_state_dict(first.state_dict())
    L.Trainer(max_epochs=2, **QUIET).fit(first, data)
    pl.Trainer(max_epochs=2, **QUIET).fit(second, data)
    for key, value in second.state_dict().items():
        assert torch.equal(first.state_dict()[key], value)


@pytest.mark.parametrize("datamodule", [None, ours.BoringDataModule])
def test_every_entry_point_runs(datamodule):
    model, data = ours.BoringModel(), datamodule and datamodule()
    trainer = L.Trainer(max_epochs=1, **QUIET)
    trainer.fit(model, datamodule=data)
    assert trainer.global_step == 64
    trainer.validate(model, datamodule=data, verbose=False)
    trainer.test(model, datamodule=data, verbose=False)
    predictions = trainer.predict(model, datamodule=data)
    assert [tuple(prediction.shape) for prediction in predictions] == [(1, 2)] * 64


def test_the_data_module_s_entry_points_share_no_sample():
    data = ours.BoringDataModule()
    data.setup("fit")
    words = ("train", "val", "test", "predict")
    loaders = [getattr(data, f"{word}_dataloader")() for word in words]
    samples = {tuple(sample[0].tolist()) for loader in loaders for sample in loader}
    assert [len(loader) for loader in loaders] == [64] * 4
    assert len(samples) == 256
