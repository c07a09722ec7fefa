"""Random state: seeding, saving, restoring, and seeds that follow from one another."""

from __future__ import annotations

import functools
import hashlib
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.launch import rank_zero_info

SEED_VARIABLE = "PL_GLOBAL_SEED"
MAX_SEED = 2**32 - 1


def seed_everything(
    seed: int | None = None, workers: bool = False, verbose: bool = True
) -> int:
    """Seed torch, Python's `random` and NumPy (where it is loaded) on this process.

    The seed is kept in the environment, so that processes started later use the same.

    Args:
        seed: from 0 to 2**32 - 1. None takes the environment's, else 0.
        workers: accepted for compatibility; data workers are always seeded from the seed,
            the epoch and the sample.
        verbose: say which seed was set.

    Returns:
        The seed that was set.

    Raises:
        MisconfigurationError: the seed is out of range.
    """
    seed = run_seed(otherwise=0) if seed is None else _checked(seed)
    if verbose:
        rank_zero_info(f"Seed set to {seed}")
    os.environ[SEED_VARIABLE] = str(seed)
    os.environ["PL_SEED_WORKERS"] = str(int(workers))
    seed_generators(seed)
    return seed


def _checked(seed: Any) -> int:
    with suppress(TypeError, ValueError):
        if 0 <= int(seed) <= MAX_SEED:
            return int(seed)
    raise MisconfigurationError(
        f"The seed must be from 0 to {MAX_SEED}: it, or the environment variable"
        f" {SEED_VARIABLE}, is {seed!r}; choose a whole number in that range."
    )


def run_seed(otherwise: int | None = None) -> int:
    """The seed of `seed_everything`; else a fresh one that changes from run to run."""
    fresh = int.from_bytes(os.urandom(4), "little") if otherwise is None else otherwise
    return _checked(os.environ.get(SEED_VARIABLE, fresh))


def seed_generators(seed: int) -> None:
    """Seed the global generators of torch, `random` and NumPy, without a word."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % (MAX_SEED + 1))
    torch.manual_seed(seed)


def derive_seed(*parts: int) -> int:
    """A 63-bit seed that depends on every part and on their order."""
    text = ",".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def random_state() -> dict[str, Any]:
    """The state of every global generator, as tensors and numbers only."""
    version, words, gauss = random.getstate()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": [version, torch.tensor(words, dtype=torch.int64), gauss],
    }
    if "numpy" in sys.modules:
        name, keys, *rest = sys.modules["numpy"].random.get_state()
        state["numpy"] = [name, torch.tensor(keys.astype("int64")), *rest]
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Put every global generator back to a state from `random_state`."""
    torch.set_rng_state(state["torch"].cpu())
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    if "numpy" in state and "numpy" in sys.modules:
        name, keys, *rest = state["numpy"]
        keys = keys.numpy().astype("uint32")
        sys.modules["numpy"].random.set_state((name, keys, *rest))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"].cpu())


@contextmanager
def isolated_random_state(include_cuda: bool = True) -> Iterator[None]:
    """Whatever is drawn inside leaves no trace outside, on a GPU where that is asked for."""
    state = random_state()
    if not include_cuda:
        state.pop("cuda", None)
    try:
        yield
    finally:
        restore_random_state(state)


def draw_apart(items: Iterable[Any], seed: int) -> Iterator[Any]:
    """Iterate with global generators that follow from the seed and belong to `items` alone."""
    with isolated_random_state():
        seed_generators(seed)
        state, iterator = random_state(), iter(items)
    nothing = object()
    while True:
        with isolated_random_state():
            restore_random_state(state)
            item = next(iterator, nothing)
            state = random_state()
        if item is nothing:
            return
        yield item


def generator_states(generators: list[Any]) -> list[Any]:
    """The generators' states, as plain data."""
    return [_controls(generator)[0]() for generator in generators]


def restore_generators(generators: list[Any], states: list[Any]) -> None:
    """Put generators back to `generator_states`; no states change nothing."""
    for generator, state in zip(generators, states, strict=False):
        _controls(generator)[1](state)


def seed_generator(generator: Any, seed: int) -> None:
    """Seed a generator of torch, `random` or NumPy."""
    _controls(generator)[2](seed)


def _controls(generator: Any) -> tuple[Callable[..., Any], ...]:
    """How to get a generator's state, to set it, and to seed it."""
    if isinstance(generator, torch.Generator):
        return generator.get_state, generator.set_state, generator.manual_seed
    if isinstance(generator, random.Random):
        return generator.getstate, generator.setstate, generator.seed
    bits = generator.bit_generator
    put = functools.partial(setattr, bits, "state")
    return lambda: bits.state, put, lambda seed: put(type(bits)(seed).state)


def generators_of(owner: Any, *inner: str) -> list[Any]:
    """Generators among an object's attributes, and among those of its `inner` objects."""
    kinds: tuple[type, ...] = (torch.Generator, random.Random)
    if "numpy" in sys.modules:
        kinds += (sys.modules["numpy"].random.Generator,)
    found: list[Any] = []
    for each in [owner, *(getattr(owner, name, None) for name in inner)]:
        attributes = getattr(each, "__dict__", {}).values()
        found += [value for value in attributes if isinstance(value, kinds)]
    return found
