"""Loaders built anew from what the user gave: sharded, seeded, able to start in mid-epoch.

The order of an epoch follows from (seed, epoch) alone, and the global batch of a step holds
the same samples at every world size. A loader draws from generators of its own, never from
the global ones, so that a resumed run finds them as an uninterrupted run would.
"""

from __future__ import annotations

import copy
import itertools
import math
import random
import sys
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
)

from scaffold_runtime.errors import CheckpointError
from scaffold_runtime.launch import rank_zero_warn
from scaffold_runtime.seed import derive_seed, random_state, restore_random_state


@dataclass(frozen=True)
class Sharding:
    """How a loader's samples are dealt out.

    Attributes:
        rank: this process' share.
        world_size: number of shares.
        seed: what the order of every epoch follows from.
        training: shares are padded to equal length; otherwise no sample is repeated.
        sequential: shuffled order is replaced by the data set's own.
        enabled: samplers of several ranks are dealt out at all.
    """

    rank: int = 0
    world_size: int = 1
    seed: int = 0
    training: bool = True
    sequential: bool = False
    enabled: bool = True


class EpochLoader:
    """A user's loader, ready to be iterated from any batch of any epoch.

    Args:
        source: a `DataLoader` or any other iterable of batches.
        sharding: how samples are dealt out.
    """

    def __init__(self, source: Iterable[Any], sharding: Sharding) -> None:
        self.source = source
        self._sharding = sharding
        self._order: _Order | None = None
        self.loader: Iterable[Any] = source
        self._epoch_state: dict[str, Any] | None = None
        if isinstance(source, DataLoader):
            self.loader = self._iterated = self._rebuild(source)

    def __len__(self) -> int:
        """Batches in an epoch.

        Raises:
            TypeError: the loader has no length.
        """
        return len(self.loader)  # type: ignore[arg-type]

    @property
    def length(self) -> int | float:
        """Batches in an epoch, infinite when the loader does not say."""
        try:
            return len(self)
        except (TypeError, NotImplementedError):
            return math.inf

    def iterate(self, epoch: int, skip: int = 0) -> Iterator[Any]:
        """Iterate one epoch, from its batch `skip` on.

        Raises:
            CheckpointError: the loader cannot start in mid-epoch.
        """
        if not isinstance(self.source, DataLoader):
            _set_epoch(self.source, epoch)
            return self._skip_iterable(iter(self.source), skip)
        if self._order is None:
            return self._skip_iterable(iter(self._iterated), skip)
        self._order.start(epoch, skip)
        _set_epoch(self._order.sampler, epoch)
        _set_epoch(self.source.dataset, epoch)
        self._iterated.generator = torch.Generator().manual_seed(
            derive_seed(self._sharding.seed, epoch, self._sharding.rank)
        )
        return iter(self._iterated)

    def batch_indices(self, epoch: int = 0) -> list[Any] | None:
        """Positions in the data set of each batch's samples; None where the order is not ours."""
        if self._order is None or not self._order.is_ours:
            return None
        _set_epoch(self._order.sampler, epoch)
        return list(self._order.own_batches())

    def state_dict(self) -> dict[str, Any]:
        """State that the order of the running epoch depends on beyond its number."""
        if hasattr(self.source, "state_dict"):
            return {"source": self.source.state_dict()}
        return self._order.state_dict() if self._order else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state before the epoch is iterated again.

        Raises:
            CheckpointError: the data has another length than it had.
        """
        if "source" in state and hasattr(self.source, "load_state_dict"):
            self.source.load_state_dict(state["source"])
            self._epoch_state = state
        elif self._order and state:
            self._order.load_state_dict(state)

    def _skip_iterable(self, batches: Iterator[Any], skip: int) -> Iterator[Any]:
        """Pass over batches of a loader whose order is not ours."""
        if skip == 0 or self._epoch_state is not None:
            self._epoch_state = None
            return batches
        if not isinstance(self.source, Sequence):
            raise CheckpointError(
                f"The run was saved after batch {skip} of an epoch, and a"
                f" {type(self.source).__name__} of iterable data cannot go on from there:"
                " give it state_dict and load_state_dict, or resume from a checkpoint of"
                " an epoch's end."
            )
        return itertools.islice(batches, skip, None)

    # --- building anew ----------------------------------------------------------------

    def _rebuild(self, source: DataLoader[Any]) -> DataLoader[Any]:
        """A copy of the user's loader (of any subclass) with an order of ours.

        `DataLoader` forbids new samplers after `__init__` because a live iterator would
        not notice; nothing has iterated this copy, so they are set past that guard.
        """
        rebuilt = copy.copy(source)
        rebuilt.__dict__["_iterator"] = None
        if isinstance(source.dataset, IterableDataset):
            return rebuilt
        rebuilt.generator = torch.Generator()
        batched = source.batch_sampler is not None
        order = _Order(source, self._sharding)
        self._order = order
        rebuilt.__dict__["batch_sampler" if batched else "sampler"] = order
        if batched and order.is_ours:
            rebuilt.__dict__["sampler"] = order.sampler
        if source.num_workers > 0:
            order.names_epoch = True
            rebuilt.__dict__["dataset"] = _SeededSamples(
                source.dataset, self._sharding.seed
            )
        return rebuilt


class _Order:
    """Index batches (or indices) of one epoch, from a given one on.

    torch's own random and sequential samplers are replaced by one whose order follows from
    (seed, epoch). Any other sampler is the user's: it is left as it is, and what it draws
    is the same again when the epoch is resumed.
    """

    def __init__(self, source: DataLoader[Any], sharding: Sharding) -> None:
        self.sampler: Any = _epoch_sampler(source, sharding)
        self.is_ours = self.sampler is not None
        self.names_epoch = False
        self.batch_size = source.batch_size
        self.drop_last = source.drop_last
        self._samples = len(source.dataset) if isinstance(source.dataset, Sized) else -1
        self._seed = sharding.seed
        self._epoch = self._skip = 0
        self._drawn_from: dict[str, Any] | None = None
        self._resumed_from: dict[str, Any] | None = None
        if not self.is_ours:
            self.sampler = source.batch_sampler or source.sampler
            if sharding.world_size > 1 and sharding.enabled and sharding.training:
                rank_zero_warn(
                    f"{type(source.sampler).__name__} is your own sampler and is left"
                    " alone: let it give each rank its own samples."
                )

    def start(self, epoch: int, skip: int) -> None:
        """Say which epoch the next iteration is, and how many batches of it are done."""
        self._epoch, self._skip = epoch, skip

    def __len__(self) -> int:
        if not self.is_ours or self.batch_size is None:
            return len(self.sampler)
        if isinstance(self.sampler, _UnrepeatedSampler):
            return len(self.sampler.batch_sizes(self.batch_size, self.drop_last))
        samples = len(self.sampler)
        if self.drop_last:
            return samples // self.batch_size
        return math.ceil(samples / self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        batches = self.own_batches() if self.is_ours else self._users_batches()
        skip, self._skip = self._skip, 0
        remaining = itertools.islice(batches, skip, None)
        if not self.names_epoch:
            return remaining
        return (_with_epoch(batch, self._epoch) for batch in remaining)

    def own_batches(self) -> Iterator[Any]:
        indices = list(self.sampler)
        size = self.batch_size
        if size is None:
            return iter(indices)
        if isinstance(self.sampler, _UnrepeatedSampler):
            sizes = self.sampler.batch_sizes(size, self.drop_last)
            ends = list(itertools.accumulate(sizes))
            return (indices[end - n : end] for n, end in zip(sizes, ends, strict=True))
        return (indices[i * size : (i + 1) * size] for i in range(len(self)))

    def _users_batches(self) -> Iterator[Any]:
        """The user's batches, drawn from the random state they were first drawn from."""
        generator = getattr(
            getattr(self.sampler, "sampler", self.sampler), "generator", 0
        )
        if isinstance(generator, torch.Generator):
            generator.manual_seed(derive_seed(self._seed, self._epoch))
        resumed, self._resumed_from = self._resumed_from, None
        if resumed is None:
            self._drawn_from = random_state()
            return iter(self.sampler)
        self._drawn_from, now = resumed, random_state()
        restore_random_state(resumed)
        batches = list(itertools.islice(iter(self.sampler), len(self.sampler)))
        restore_random_state(now)
        return iter(batches)

    def state_dict(self) -> dict[str, Any]:
        state = {
            "samples": self._samples,
            "batch_size": self.batch_size,
            "own": self.is_ours,
        }
        return state if self.is_ours else {**state, "drawn_from": self._drawn_from}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state.get("samples", self._samples) != self._samples:
            raise CheckpointError(
                f"The data set has {self._samples} samples, and it had {state['samples']}"
                " when the run was saved in mid-epoch: resume with the same data, or from a"
                " checkpoint of an epoch's end."
            )
        if not self.is_ours:
            self._resumed_from = state.get("drawn_from")


class _UnrepeatedSampler(DistributedSampler[Any]):
    """Every sample on exactly one rank, in order: rank, rank + world_size, ..."""

    def __init__(self, samples: Sized, sharding: Sharding) -> None:
        super().__init__(
            samples,  # type: ignore[arg-type]
            num_replicas=sharding.world_size,
            rank=sharding.rank,
            shuffle=False,
        )
        self._indices = range(sharding.rank, len(samples), sharding.world_size)
        self._longest = math.ceil(len(samples) / sharding.world_size)
        if len(samples) < sharding.world_size:
            self._indices = range(sharding.rank % len(samples), len(samples))[:1]

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._indices)

    def batch_sizes(self, size: int, drop_last: bool) -> list[int]:
        """Sizes of this rank's batches: as many batches on every rank.

        The shares differ by one sample at most. Where the longest needs one batch more,
        the others divide their last batch, so that no rank waits for a batch in vain.
        """
        own = len(self._indices)
        if drop_last:
            return [size] * (own // size)
        sizes = [size] * (own // size) + ([own % size] if own % size else [])
        if len(sizes) < math.ceil(self._longest / size):
            last = sizes.pop()
            sizes += [last - 1, 1] if last > 1 else [last]
        return sizes


class _SeededSamples:
    """A data set whose samples draw the same in any worker: from (seed, epoch, index)."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self._dataset = dataset
        self._seed = seed

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, key: tuple[int, Any]) -> Any:
        epoch, index = key
        seed_sample(self._seed, epoch, index)
        return self._dataset[index]

    def __getattr__(self, name: str) -> Any:
        """Offer `__getitems__` only where the data set itself does."""
        if name == "__getitems__" and hasattr(self._dataset, name):
            return self._get_items
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._dataset, name)

    def _get_items(self, keys: list[tuple[int, Any]]) -> Any:
        epoch, first = keys[0]
        seed_sample(self._seed, epoch, first)
        return self._dataset.__getitems__([index for _, index in keys])


def seed_sample(seed: int, epoch: int, index: Any) -> None:
    """Seed a worker's generators for one sample."""
    number = index if isinstance(index, int) else hash(str(index))
    derived = derive_seed(seed, epoch, number)
    torch.default_generator.manual_seed(derived)
    random.seed(derived)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(derived % 2**32)


def _with_epoch(batch: Any, epoch: int) -> Any:
    if isinstance(batch, (list, tuple)):
        return [(epoch, index) for index in batch]
    return (epoch, batch)


def _epoch_sampler(source: DataLoader[Any], sharding: Sharding) -> Any:
    """A sampler that takes the place of torch's own, or None for a sampler of the user's."""
    sampler, batch_sampler = source.sampler, source.batch_sampler
    if batch_sampler is not None and type(batch_sampler) is not BatchSampler:
        return None
    if type(sampler) is RandomSampler:
        if sampler.replacement or sampler.num_samples != len(sampler.data_source):
            return None
    elif type(sampler) is not SequentialSampler:
        return None
    world_size = sharding.world_size if sharding.enabled else 1
    rank = sharding.rank if sharding.enabled else 0
    shuffle = type(sampler) is RandomSampler and not sharding.sequential
    if not sharding.training and not shuffle and world_size > 1:
        return _UnrepeatedSampler(source.dataset, sharding)  # type: ignore[arg-type]
    generator = getattr(sampler, "generator", None) or source.generator
    return DistributedSampler(
        source.dataset,
        num_replicas=world_size,
        rank=rank,
        shuffle=shuffle,
        seed=generator.initial_seed() % 2**62 if generator else sharding.seed,
    )


def _set_epoch(target: Any, epoch: int) -> None:
    """Tell a sampler or data set that wants to know which epoch begins."""
    set_epoch = getattr(target, "set_epoch", None)
    if callable(set_epoch):
        set_epoch(epoch)
