"""Lightning's own checkpoint files: weights and plain data come out, and nothing is run."""

import argparse
import enum
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.fabric.utilities.data import AttributeDict
from lightning.pytorch import callbacks as theirs
from torch import nn
from torch.utils.data import DataLoader

import scaffold_runtime as L
from scaffold_runtime.checkpoint import read_checkpoint

QUIET = {
    "logger": False,
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class Colour(enum.Enum):
    RED = "red"


class Switch(nn.Module):
    """A class that only the program which saved it has."""


def net(library):
    """The same module on either library."""

    class Net(library.LightningModule):
        def __init__(self, width=3, **settings):
            super().__init__()
            self.save_hyperparameters()
            self.layer = nn.Linear(2, width)

        def training_step(self, batch, batch_idx):
            return self.layer(batch).square().mean()

        def validation_step(self, batch, batch_idx):
            self.log("val_loss", self.layer(batch).square().mean())

        def configure_optimizers(self):
            optimizer = torch.optim.AdamW(self.parameters())
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max")
            schedule = {"scheduler": plateau, "monitor": "val_loss"}
            return {"optimizer": optimizer, "lr_scheduler": schedule}

    return Net


def saved_by_lightning(folder, callback_state=None, **settings):
    """A module that Lightning has trained, and the file that it wrote."""

    class Stateful(theirs.Callback):
        def state_dict(self):
            return {"state": callback_state}

    monitors = [
        theirs.EarlyStopping("val_loss"),
        theirs.Timer("01:00:00:00"),
        Stateful(),
    ]
    saves = theirs.ModelCheckpoint(folder, filename="theirs", monitor="val_loss")
    trainer = pl.Trainer(max_epochs=1, callbacks=[*monitors, saves], **QUIET)
    module = net(pl)(**settings)
    batches = DataLoader(torch.randn(8, 2), batch_size=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, batches, batches)
    return module, folder / "theirs.ckpt"


def test_weights_and_plain_hyperparameters_are_read(tmp_path):
    settings = {
        "path": Path("a") / "b",
        "options": argparse.Namespace(lr=0.1),
        "attributes": AttributeDict(depth=2),
        "sizes": [1, (2, None)],
        "scale": torch.ones(2),
    }
    theirs, file = saved_by_lightning(tmp_path, width=5, **settings)
    ours = net(L).load_from_checkpoint(file)
    assert torch.equal(ours.layer.weight, theirs.layer.weight)
    assert torch.equal(ours.hparams.pop("scale"), settings.pop("scale"))
    expected = {**settings, "path": str(settings["path"]), "width": 5}
    assert dict(ours.hparams) == expected


@pytest.mark.parametrize("value", [Colour.RED, Switch(), [Switch()], {"a": Colour}])
def test_what_is_not_plain_is_left_out_by_name(value, tmp_path):
    theirs, file = saved_by_lightning(tmp_path, strange=value, depth=2)
    with pytest.warns(
        UserWarning, match=r"'strange' of the checkpoint is a .*test_arch"
    ):
        ours = net(L).load_from_checkpoint(file)
    assert dict(ours.hparams) == {"width": 3, "depth": 2}
    assert net(L).load_from_checkpoint(file, strange=value).hparams.strange is value
    assert torch.equal(ours.layer.weight, theirs.layer.weight)


def test_training_goes_on_after_the_epoch(tmp_path):
    _, file = saved_by_lightning(tmp_path)
    trainer = L.Trainer(
        default_root_dir=tmp_path, max_epochs=2, enable_checkpointing=False, **QUIET
    )
    batches = DataLoader(torch.randn(8, 2), batch_size=2)
    with pytest.warns(UserWarning, match="not written by this package: .* epoch 1"):
        trainer.fit(net(L)(), batches, batches, ckpt_path=file)
    assert trainer.global_step == 8
    assert trainer.lr_scheduler_configs[0].scheduler.mode == "max"
    assert trainer.optimizers[0].state_dict()["state"][0]["step"] == 8


def test_a_callbacks_strange_state_is_in_the_way_of_training_only(tmp_path):
    _, file = saved_by_lightning(tmp_path, callback_state=Switch())
    assert "callbacks" not in read_checkpoint(file, for_training=False)
    net(L).load_from_checkpoint(file)
    with pytest.raises(L.CheckpointError, match=r"test_archive.Switch in 'callbacks'"):
        read_checkpoint(file)


class Payload:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [exec, shutil.rmtree, subprocess.Popen])
def test_no_function_in_a_file_is_called(function, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    argument = f"import os; os.rmdir({str(kept)!r})" if function is exec else kept
    strange = Payload(function, argument)
    torch.save(
        {"state_dict": {}, "hyper_parameters": {"strange": strange}},
        tmp_path / "x.ckpt",
    )
    with pytest.warns(UserWarning, match=f"{function.__qualname__}, .* is left out"):
        assert read_checkpoint(tmp_path / "x.ckpt")["hyper_parameters"] == {}
    assert kept.exists()


def test_what_the_system_offers_is_refused_even_in_hyperparameters(tmp_path):
    content = {
        "hyper_parameters": {"strange": Payload(os.mkdir, str(tmp_path / "new"))}
    }
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(L.CheckpointError, match=r"more than plain data.*mkdir"):
        read_checkpoint(tmp_path / "x.ckpt")
    assert not (tmp_path / "new").exists()
