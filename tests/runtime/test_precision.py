"""Numeric precision: names, types, and what loss scaling does."""

import pytest
import torch
from torch import nn

import scaffold_runtime as L
from scaffold_runtime.precision import make_precision


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (None, "32-true"),
        (32, "32-true"),
        ("32", "32-true"),
        (64, "64-true"),
        ("bf16", "bf16-mixed"),
        ("bf16-true", "bf16-true"),
        ("16-true", "16-true"),
    ],
)
def test_short_names_are_those_of_lightning(given, name):
    assert make_precision(given, "cpu").name == name


@pytest.mark.parametrize("given", ["8", "fp16", "transformer-engine", 17])
def test_an_unknown_name_is_refused_with_those_that_are_known(given):
    with pytest.raises(L.MisconfigurationError, match="32-true, bf16-true"):
        make_precision(given, "cpu")


def test_mps_has_no_float64():
    with pytest.raises(L.MisconfigurationError, match="MPS"):
        make_precision("64-true", "mps")


def test_mixed_precision_computes_in_16_bits_and_keeps_32():
    precision, layer = make_precision("bf16-mixed", "cpu"), nn.Linear(2, 2)
    precision.convert_module(layer)
    with precision.forward_context():
        assert layer(torch.ones(1, 2)).dtype is torch.bfloat16
    assert layer.weight.dtype is torch.float32


def test_true_precision_converts_floats_and_nothing_else():
    precision = make_precision("64-true", "cpu")
    assert precision.convert_input(torch.ones(1)).dtype is torch.float64
    assert precision.convert_input(torch.tensor([1])).dtype is torch.int64
    with precision.forward_context():
        assert torch.zeros(1).dtype is torch.float64
    assert torch.zeros(1).dtype is torch.float32


def test_half_precision_scales_losses_and_unscales_gradients_once():
    precision = make_precision("16-mixed", "cuda")
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    precision.scaler = scaler
    weight = nn.Parameter(torch.tensor([2.0]))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    precision.scale((weight * 3).sum()).backward()
    assert weight.grad.item() == 3 * 1024
    precision.unscale(optimizer)
    precision.unscale(optimizer)
    assert weight.grad.item() == 3
    precision.step(optimizer)
    assert weight.item() == -1.0


def test_a_step_that_overflowed_is_left_out_and_the_scale_halved():
    precision = make_precision("16-mixed", "cuda")
    precision.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    weight = nn.Parameter(torch.tensor([2.0]))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    precision.scale((weight * float("inf")).sum()).backward()
    precision.step(optimizer)
    assert weight.item() == 2.0
    assert precision.state_dict()["scale"] == 2.0


def test_the_loss_scale_is_state():
    saved = make_precision("16-mixed", "cuda")
    saved.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    restored = make_precision("16-mixed", "cuda")
    restored.scaler = torch.amp.GradScaler("cpu")
    restored.load_state_dict(saved.state_dict())
    assert restored.scaler.get_scale() == 8.0


def test_an_optimizer_with_a_closure_cannot_be_scaled():
    precision = make_precision("16-mixed", "cuda")
    precision.scaler = torch.amp.GradScaler("cpu")
    optimizer = torch.optim.LBFGS([nn.Parameter(torch.ones(1))])
    with pytest.raises(L.MisconfigurationError, match="LBFGS"):
        precision.step(optimizer, lambda: torch.ones(1))
