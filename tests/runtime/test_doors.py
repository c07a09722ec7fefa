"""Names at the places where Lightning's documentation imports them."""

import importlib
import subprocess
import sys

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.utilities import grad_norm as their_grad_norm
from torch import nn

import scaffold_runtime as L
from scaffold_runtime.errors import NotProvidedError
from scaffold_runtime.utilities import grad_norm, move_data_to_device


@pytest.mark.parametrize(
    "door",
    [pl, pl.callbacks, pl.loggers, pl.profilers, pl.strategies],
    ids=lambda d: d.__name__,
)
def test_every_public_name_is_there_or_refused_with_an_alternative(door):
    ours = importlib.import_module(door.__name__.replace(pl.__name__, L.__name__))
    for name in door.__all__:
        try:
            getattr(ours, name)
        except NotProvidedError as refusal:
            assert f"has no {name}: " in str(refusal)


@pytest.mark.parametrize(
    ("door", "name"),
    [
        ("utilities", "CombinedLoader"),
        ("utilities", "rank_zero_only"),
        ("utilities.combined_loader", "CombinedLoader"),
        ("utilities.exceptions", "MisconfigurationException"),
        ("utilities.rank_zero", "rank_zero_debug"),
        ("utilities.model_summary", "ModelSummary"),
        ("utilities.model_summary", "summarize"),
        ("utilities.rank_zero", "rank_zero_info"),
        ("utilities.seed", "isolate_rng"),
        ("utilities.types", "LRSchedulerConfig"),
        ("utilities.types", "STEP_OUTPUT"),
        ("utilities.types", "LRSchedulerConfig"),
        ("utilities.types", "OptimizerLRScheduler"),
        ("callbacks.early_stopping", "EarlyStopping"),
        ("utilities.types", "OptimizerLRSchedulerConfig"),
        ("cli", "LightningArgumentParser"),
        ("demos", "DemoModel"),
        ("demos.boring_classes", "BoringDataModule"),
        ("profilers", "SimpleProfiler"),
        ("strategies", "FSDPStrategy"),
    ],
)
def test_documented_imports(door, name):
    assert hasattr(importlib.import_module(f"lightning.pytorch.{door}"), name)
    ours = getattr(importlib.import_module(f"scaffold_runtime.{door}"), name)
    same = importlib.import_module(f"scaffold_runtime.pytorch.{door}")
    assert getattr(same, name) is ours


@pytest.mark.parametrize(
    ("door", "name"),
    [
        ("callbacks.callback", "Callback"),
        ("callbacks.progress.tqdm_progress", "TQDMProgressBar"),
        ("callbacks.rich_model_summary", "RichModelSummary"),
        ("core", "LightningModule"),
        ("core.datamodule", "LightningDataModule"),
        ("core.module", "LightningModule"),
        ("core.optimizer", "LightningOptimizer"),
        ("profilers.advanced", "AdvancedProfiler"),
        ("profilers.profiler", "Profiler"),
        ("profilers.pytorch", "PyTorchProfiler"),
        ("profilers.simple", "SimpleProfiler"),
        ("strategies.strategy", "Strategy"),
        ("trainer.states", "RunningStage"),
        ("trainer.states", "TrainerFn"),
        ("trainer.trainer", "Trainer"),
        ("tuner.tuning", "Tuner"),
        ("utilities.grads", "grad_norm"),
        ("utilities.parsing", "AttributeDict"),
    ],
)
def test_what_lives_elsewhere_here_is_found_where_lightning_has_it(door, name):
    assert hasattr(importlib.import_module(f"lightning.pytorch.{door}"), name)
    assert hasattr(importlib.import_module(f"scaffold_runtime.pytorch.{door}"), name)


@pytest.mark.parametrize(
    "line",
    [
        "import scaffold_runtime.pytorch.callbacks.callback as c; c.Callback",
        "from scaffold_runtime.pytorch.trainer import states; states.TrainerFn",
        "from scaffold_runtime.pytorch.core.module import LightningModule",
    ],
)
def test_a_module_at_lightning_s_place_is_imported_in_every_way(line):
    ran = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_stages_are_lightning_s_words():
    theirs = importlib.import_module("lightning.pytorch.trainer.states").RunningStage
    ours = importlib.import_module(
        "scaffold_runtime.pytorch.trainer.states"
    ).RunningStage
    assert {one.name: one.value for one in ours} == {
        one.name: one.value for one in theirs
    }


def test_a_folder_is_reached_from_the_door_without_an_import_of_its_own():
    assert L.pytorch.callbacks.EarlyStopping is L.callbacks.EarlyStopping
    assert L.loggers.CSVLogger is L.pytorch.loggers.CSVLogger


@pytest.mark.parametrize("first", ["lightning", "scaffold_runtime"])
def test_an_import_runs_with_another_first_word(first, tmp_path):
    """In a process of its own: what this one has imported already proves nothing."""
    script = tmp_path / "train.py"
    script.write_text(
        f"import {first}.pytorch as pl\n"
        f"from {first}.pytorch.callbacks.early_stopping import EarlyStopping\n"
        f"from {first}.pytorch.demos.boring_classes import BoringDataModule, DemoModel\n"
        f"from {first}.pytorch.utilities.types import STEP_OUTPUT\n"
        "stopping = EarlyStopping('val_loss')\n"
        "trainer = pl.Trainer(callbacks=[stopping], logger=False, barebones=False)\n"
        "assert trainer.early_stopping_callback is stopping\n"
        "assert isinstance(DemoModel(), pl.LightningModule)\n"
        "assert isinstance(BoringDataModule(), pl.LightningDataModule)\n"
        f"import {first}.pytorch.nothing\n"
    )
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True)
    last = ran.stderr.splitlines()[-1]
    assert last == f"ModuleNotFoundError: No module named '{first}.pytorch.nothing'"


def test_what_is_not_here_is_refused_in_a_sentence():
    with pytest.raises(NotProvidedError, match="no Fabric: use Engine"):
        L.Fabric()
    with pytest.raises(ImportError, match="no Fabric: use Engine"):
        from scaffold_runtime import Fabric  # noqa: F401
    assert not hasattr(L, "nothing_of_the_kind")


@pytest.mark.parametrize("p", [2, 1.0, "inf"])
def test_gradient_norms_are_lightning_s(p):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(2, 2))
    assert grad_norm(model, p) == {}
    model[:2](torch.rand(5, 3)).sum().backward()
    ours, theirs = grad_norm(model, p, "."), their_grad_norm(model, p, ".")
    assert ours.keys() == theirs.keys()
    for name, norm in theirs.items():
        torch.testing.assert_close(ours[name], norm)


@pytest.mark.parametrize("p", [0, -1.0, "-inf"])
def test_a_norm_that_is_none_is_refused(p):
    with pytest.raises(ValueError, match="norm_type"):
        grad_norm(nn.Linear(1, 1), p)


def test_a_batch_moves_to_a_device_by_its_name():
    moved = move_data_to_device({"a": [torch.zeros(2)]}, "meta")
    assert moved["a"][0].device.type == "meta"


def test_gradient_norms_carry_no_graph():
    """A penalty on gradients keeps their graph, which a logged number must not hold."""
    model = nn.Linear(3, 1)
    model(torch.rand(5, 3)).square().sum().backward(create_graph=True)
    assert model.weight.grad.requires_grad
    assert not any(norm.requires_grad for norm in grad_norm(model, 2).values())
