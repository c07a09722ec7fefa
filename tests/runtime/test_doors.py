"""Names at the places where Lightning's documentation imports them."""

import importlib

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.utilities import grad_norm as their_grad_norm
from torch import nn

import scaffold_runtime as L
from scaffold_runtime.errors import NotProvidedError
from scaffold_runtime.utilities import grad_norm, move_data_to_device


@pytest.mark.parametrize(
    "door", [pl, pl.callbacks, pl.loggers], ids=lambda d: d.__name__
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
        ("utilities.types", "OptimizerLRSchedulerConfig"),
        ("cli", "LightningArgumentParser"),
        ("profilers", "SimpleProfiler"),
        ("strategies", "FSDPStrategy"),
    ],
)
def test_documented_imports(door, name):
    assert hasattr(importlib.import_module(f"lightning.pytorch.{door}"), name)
    assert hasattr(importlib.import_module(f"scaffold_runtime.{door}"), name)


def test_a_folder_is_reached_from_the_door_without_an_import_of_its_own():
    assert L.pytorch.callbacks.EarlyStopping is L.callbacks.EarlyStopping
    assert L.loggers.CSVLogger is L.pytorch.loggers.CSVLogger


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
