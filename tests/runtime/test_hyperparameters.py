"""`save_hyperparameters`: what is kept, and what may go into a checkpoint."""

import enum
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

import scaffold_runtime as L
from scaffold_runtime.hyperparameters import plain_hyperparameters


def saving(*names, **options):
    """A class that passes these to `save_hyperparameters`."""

    class Own(L.LightningModule):
        def __init__(self, width=2, lr=0.1, *, kind="a", layer=None):
            super().__init__()
            self.save_hyperparameters(*names, **options)

    return Own


def test_all_arguments_are_kept_as_attributes_and_items():
    own = saving()(width=5)
    assert dict(own.hparams) == {"width": 5, "lr": 0.1, "kind": "a", "layer": None}
    assert own.hparams.width == own.hparams["width"] == 5


def test_some_can_be_chosen_or_left_out():
    assert dict(saving("lr", "kind")().hparams) == {"lr": 0.1, "kind": "a"}
    ignoring = saving(ignore=["layer", "kind"])()
    assert dict(ignoring.hparams) == {"width": 2, "lr": 0.1}


def test_they_are_shown_sorted():
    assert str(saving("lr", "kind")().hparams) == '"kind": a\n"lr":   0.1'


def test_an_argument_that_is_not_there_is_named():
    with pytest.raises(L.MisconfigurationError, match=r"'depth'.*width, lr"):
        saving("depth")()


class Base(L.LightningModule):
    def __init__(self, width, lr=0.1):
        super().__init__()
        self.save_hyperparameters()


class Derived(Base):
    def __init__(self, depth=3, **kwargs):
        super().__init__(width=7, **kwargs)


def test_the_whole_class_chain_is_kept():
    assert dict(Derived(lr=0.5).hparams) == {"depth": 3, "width": 7, "lr": 0.5}


class Slimmer(Base):
    def __init__(self, width, layer=None, lr=0.1):
        super().__init__(width, lr)
        self.save_hyperparameters(ignore=["layer"])


def test_a_derived_class_leaves_out_what_its_base_has_kept():
    own = Slimmer(4, layer=nn.Linear(1, 1))
    assert dict(own.hparams) == dict(own.hparams_initial) == {"width": 4, "lr": 0.1}


def test_later_changes_stay_out_of_the_initial_values():
    own = Base(4)
    own.hparams.lr = 9.0
    assert own.hparams_initial.lr == 0.1
    assert own.hparams.lr == 9.0


@dataclass
class Settings:
    width: int = 3


@pytest.mark.parametrize(
    "whole",
    [{"width": 3}, Namespace(width=3), Settings()],
    ids=lambda w: type(w).__name__,
)
def test_one_object_is_kept_as_a_whole_and_given_back(whole, make_trainer, tmp_path):
    class Whole(L.LightningModule):
        def __init__(self, config):
            super().__init__()
            self.save_hyperparameters(config)
            self.layer = nn.Linear(2, self.hparams.width)

        def validation_step(self, batch, batch_idx):
            pass

    trainer = make_trainer()
    trainer.validate(Whole(whole), [[torch.ones(1)]], verbose=False)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    assert Whole.load_from_checkpoint(tmp_path / "x.ckpt").hparams.width == 3


def test_beside_a_whole_object_other_arguments_can_be_given(make_trainer, tmp_path):
    class Whole(L.LightningModule):
        def __init__(self, config, depth=1):
            super().__init__()
            self.save_hyperparameters(config)
            self.depth = depth

        def validation_step(self, batch, batch_idx):
            pass

    trainer = make_trainer()
    trainer.validate(Whole({"lr": 0.1}), [[torch.ones(1)]], verbose=False)
    trainer.save_checkpoint(path := tmp_path / "x.ckpt")
    assert Whole.load_from_checkpoint(path, depth=5).depth == 5
    other = Whole.load_from_checkpoint(path, config={"lr": 0.7})
    assert dict(other.hparams) == {"lr": 0.7}
    assert Whole.load_from_checkpoint(path, lr=0.5).hparams.lr == 0.5


class Colour(enum.Enum):
    RED = "red"


def test_a_checkpoint_takes_plain_data_and_names_what_it_leaves_out():
    given = {
        "number": 1,
        "path": Path("a") / "b",
        "colour": Colour.RED,
        "nest": {"list": [1, (2.5, None)]},
        "tensor": torch.ones(1),
        "layer": nn.Linear(1, 1),
    }
    with pytest.warns(UserWarning, match="'layer' is a Linear"):
        plain = plain_hyperparameters(given)
    assert plain == {
        "number": 1,
        "path": str(Path("a") / "b"),
        "colour": "red",
        "nest": {"list": [1, (2.5, None)]},
        "tensor": torch.ones(1),
    }


def test_loggers_get_them_unless_told_not_to(net, make_trainer, tmp_path):
    from scaffold_runtime.loggers import CSVLogger

    class Named(net):
        def __init__(self, width=4, logger=True):
            super().__init__()
            self.save_hyperparameters(ignore="logger", logger=logger)

    for index, logger in enumerate((True, False)):
        own = CSVLogger(tmp_path, name="logs", version=index)
        make_trainer(logger=own, max_epochs=1).fit(Named(logger=logger))
        written = tmp_path / "logs" / f"version_{index}" / "hparams.yaml"
        assert (
            "width: 4" in written.read_text() if written.exists() else False
        ) is logger


def test_they_may_be_saved_by_a_method_that_init_calls():
    class Own(L.LightningModule):
        def __init__(self, width=2):
            super().__init__()
            self.keep()

        def keep(self):
            self.save_hyperparameters()

    assert dict(Own(width=5).hparams) == {"width": 5}


def test_a_config_that_is_none_holds_nothing():
    module = L.LightningModule()
    module.save_hyperparameters(None)
    assert dict(module.hparams) == {}


@pytest.mark.parametrize("given", [(3,), (0.5,), ([1, 2],), (3.14, {"a": 1})])
def test_an_object_without_named_values_is_refused(given):
    with pytest.raises(
        L.MisconfigurationError, match="names of arguments, or one object"
    ):
        L.LightningModule().save_hyperparameters(*given)
