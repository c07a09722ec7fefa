"""Seeds: set, kept in the environment, derived, and random state put back."""

import os
import random

import numpy as np
import pytest
import torch

import scaffold_runtime as L
from scaffold_runtime.seed import (
    derive_seed,
    isolated_random_state,
    random_state,
    restore_random_state,
    run_seed,
)
from scaffold_runtime.utilities.seed import isolate_rng


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    monkeypatch.setenv("PL_SEED_WORKERS", "0")
    monkeypatch.delenv("PL_GLOBAL_SEED")


def draw():
    return torch.rand(2).tolist(), random.random()


def test_a_seed_repeats_what_is_drawn():
    assert L.seed_everything(7) == 7
    first = draw()
    L.seed_everything(7)
    assert draw() == first
    L.seed_everything(8)
    assert draw() != first


def test_the_seed_is_kept_for_processes_started_later():
    L.seed_everything(7)
    assert os.environ["PL_GLOBAL_SEED"] == "7"
    assert run_seed() == 7
    assert L.seed_everything() == 7


def test_without_a_seed_runs_differ():
    assert run_seed() != run_seed()


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(L.MisconfigurationError, match=str(seed)):
        L.seed_everything(seed)


def test_a_broken_environment_is_named(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "seven")
    with pytest.raises(L.MisconfigurationError, match=r"PL_GLOBAL_SEED.*'seven'"):
        L.seed_everything()


def test_derived_seeds_depend_on_every_part_and_on_their_order():
    seeds = {derive_seed(1, 2), derive_seed(2, 1), derive_seed(1, 3), derive_seed(12)}
    assert len(seeds) == 4
    assert derive_seed(1, 2) == derive_seed(1, 2)


def test_random_state_is_plain_data_and_comes_back(tmp_path):
    numpy = pytest.importorskip("numpy")
    torch.save(random_state(), tmp_path / "state")
    first = draw(), numpy.random.rand(2).tolist()
    restore_random_state(torch.load(tmp_path / "state", weights_only=True))
    assert (draw(), numpy.random.rand(2).tolist()) == first


def test_isolation_leaves_no_trace_even_after_an_error():
    torch.manual_seed(3)
    expected = draw()
    torch.manual_seed(3)
    random.seed(3)
    state = random.getstate()
    with pytest.raises(KeyError), isolated_random_state():
        draw()
        raise KeyError
    assert random.getstate() == state
    assert torch.rand(2).tolist() == expected[0]


@pytest.mark.parametrize("seed", ["7", np.int64(7), 7.0])
def test_a_seed_may_be_any_number(seed):
    assert L.seed_everything(seed) == 7
    assert os.environ["PL_GLOBAL_SEED"] == "7"


@pytest.mark.parametrize("seed", ["seven", [7], 2**40])
def test_what_is_no_seed_is_refused(seed, monkeypatch):
    with pytest.raises(L.MisconfigurationError, match="whole number"):
        L.seed_everything(seed)
    monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
    with pytest.raises(L.MisconfigurationError, match="PL_GLOBAL_SEED"):
        L.seed_everything()


@pytest.mark.parametrize("include_cuda", [True, False])
def test_what_is_drawn_in_isolation_leaves_no_trace(include_cuda):
    torch.manual_seed(3)
    expected = draw()
    torch.manual_seed(3)
    with isolate_rng(include_cuda=include_cuda):
        torch.rand(5)
    assert draw()[0] == expected[0]
