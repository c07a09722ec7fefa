"""Loaders built anew from what the user gave: sharded, seeded, able to start in mid-epoch.

The order of an epoch follows from (seed, epoch) alone, and the global batch of a step holds
the same samples at every world size. A loader draws from generators of its own, never from
the global ones, so that a resumed run finds them as an uninterrupted run would.
"""

from __future__ import annotations

import copy
import functools
import itertools
import math
import re
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
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
    get_worker_info,
)

from scaffold_runtime.errors import CheckpointError, DataError
from scaffold_runtime.launch import rank_zero_warn
from scaffold_runtime.seed import (
    derive_seed,
    draw_apart,
    generator_states,
    generators_of,
    restore_generators,
    seed_generator,
    seed_generators,
)

# torch's words for data workers that died, with their process numbers.
_DEAD_WORKERS = re.compile(r"(?<=DataLoader worker \(pid )\d+|(?<=pid\(s\) )\d+")


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
        whole: a last batch that is smaller stays, whatever the loader says.
    """

    rank: int = 0
    world_size: int = 1
    seed: int = 0
    training: bool = True
    sequential: bool = False
    enabled: bool = True
    whole: bool = False

    @property
    def shares(self) -> int:
        """How many shares a sampler is dealt out in."""
        return self.world_size if self.enabled else 1


class EpochLoader:
    """A user's loader, ready to be iterated from any batch of any epoch.

    Args:
        source: a `DataLoader` or any other iterable of batches.
        sharding: how samples are dealt out.
    """

    def __init__(self, source: Iterable[Any], sharding: Sharding) -> None:
        self.source, self._sharding = source, sharding
        self._members: list[EpochLoader] = []
        self._order: _Order | None = None
        self.loader: Any = source
        if isinstance(source, DataLoader):
            self.loader = self._rebuild(source)
        self._stateful = None if self._order else self._find_stateful()
        self._is_positioned = self._is_at_end = False
        self._fetched: list[Any] = []
        self._batches: Iterator[Any] = iter(())
        self._running: Callable[[], Any] = lambda: None

    def __len__(self) -> int:
        """Batches in an epoch.

        Raises:
            TypeError: the loader has no length: infinity is no integer.
        """
        return self.length  # type: ignore[return-value]

    @property
    def length(self) -> int | float:
        """Batches in an epoch, infinite when the loader does not say."""
        return length_of(self.loader)

    @property
    def members(self) -> list[EpochLoader]:
        """The loaders that this one is made of, or itself alone."""
        return self._members or [self]

    def limit(self, counts: list[int | float]) -> int | float:
        """Take so many batches of each member; the batches of an epoch then."""
        return counts[0]

    def iterate(self, epoch: int, skip: int = 0) -> Iterator[Any]:
        """Iterate one epoch, from its batch `skip` on.

        Raises:
            CheckpointError: the loader cannot start in mid-epoch.
        """
        _set_epoch(getattr(self.source, "dataset", self.source), epoch)
        if self._order is None:
            return self._iterate_source(skip)
        self._order.start(epoch, skip)
        self.loader.generator = torch.Generator().manual_seed(
            derive_seed(self._sharding.seed, epoch, self._sharding.rank)
        )
        iterator: Iterator[Any] = iter(self.loader)
        if hasattr(iterator, "_workers"):  # a subclass may return any iterator
            self._running = weakref.ref(iterator)
        return iterator

    def batch_indices(self, epoch: int = 0) -> list[Any] | None:
        """Positions in the data set of each batch's samples; None where the order is not ours."""
        if self._order is None or not self._order.is_ours:
            return None
        self._order.set_epoch(epoch)
        return list(self._order.own_batches())

    def finish(self, batches: Iterator[Any], taken: int) -> None:
        """Let an iterator whose batches are all taken come to its end, where it may reset."""
        if taken == self.length:
            next(batches, None)

    def lost_samples(self, error: BaseException) -> DataError | None:
        """The error of a data worker that died, with the samples it had yet to deliver."""
        iterator, order = self._running(), self._order
        pids = [int(number) for number in _DEAD_WORKERS.findall(str(error))]
        processes = enumerate(getattr(iterator, "_workers", []))
        workers = [number for number, process in processes if process.pid in pids]
        if iterator is None or order is None or not workers:
            return None
        tasks = iterator._task_info.items()
        held = {task for task, info in tasks if info[0] in workers}
        batches = enumerate(order.own_batches() if order.is_ours else [], -order.skip)
        samples = [batch for task, batch in batches if task in held]
        return DataError(
            f"Data worker {', '.join(map(str, workers))} (process"
            f" {', '.join(map(str, pids))}) died while it held the samples"
            f" {samples or 'of ' + str(len(held)) + ' batches'}: look at these, at the"
            " memory that is free, or use num_workers=0 to see the error itself."
        )

    def close(self) -> None:
        """Let persistent workers go now: found by the garbage collector they hang for 10 s."""
        if isinstance(self.loader, DataLoader):
            self.loader.__dict__["_iterator"] = None

    def with_end(self, batches: Iterator[Any]) -> Iterator[tuple[Any, bool]]:
        """Batches of a loader without a length, each with a word on whether it is the last.

        To know, a batch is fetched ahead of its turn; a checkpoint takes it along.
        """
        nothing = object()
        for batch, following in itertools.pairwise(itertools.chain(batches, [nothing])):
            self._is_at_end = following is nothing
            self._fetched = [] if self._is_at_end else [following]
            yield batch, self._is_at_end

    def state_dict(self, within_epoch: bool = True) -> dict[str, Any]:
        """What the order of the batches to come depends on, beyond the epoch's number."""
        if self._order is not None:
            return self._order.state_dict(within_epoch)
        if self._stateful is None:
            return {}
        fetcher = getattr(self._batches, "_dataset_fetcher", None)
        return {
            "source": self._stateful.state_dict(),
            "fetched": self._fetched,
            "at_end": self._is_at_end or getattr(fetcher, "ended", False),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state before the epoch is iterated again."""
        if self._order is not None:
            self._order.load_state_dict(state)
        elif self._stateful is not None and "source" in state:
            self._stateful.load_state_dict(state["source"])
            self._is_positioned, self._fetched = True, state["fetched"]
            self._is_at_end = state["at_end"]

    def _find_stateful(self) -> Any:
        """Who knows where in the data the run is: the loader, or its data set without workers."""
        candidates: list[Any] = [self.loader]
        if getattr(self.source, "num_workers", 1) == 0:
            candidates.append(getattr(self.source, "dataset", None))
        ways = ("state_dict", "load_state_dict")
        found = (c for c in candidates if all(hasattr(c, way) for way in ways))
        return next(found, None)

    def _iterate_source(self, skip: int) -> Iterator[Any]:
        """Batches of a loader whose order is not ours, after `skip` of them."""
        positioned, self._is_positioned = self._is_positioned, False
        fetched, self._fetched = self._fetched, []
        at_end, self._is_at_end = self._is_at_end and skip > 0, False
        if skip == 0 or positioned:
            self._batches = iter(()) if at_end else iter(self.loader)
            # Without a checkpoint, what was fetched ahead belongs to an epoch cut short.
            return itertools.chain(fetched if positioned else (), self._batches)
        if isinstance(self.source, Sequence):
            return itertools.islice(self.source, skip, None)
        raise CheckpointError(
            f"The run was saved after batch {skip} of an epoch, and a"
            f" {type(self.source).__name__} of iterable data cannot go on from there: give"
            " the data set state_dict and load_state_dict (and no workers), or resume from"
            " a checkpoint of an epoch's end."
        )

    # --- building anew ----------------------------------------------------------------

    def _rebuild(self, source: DataLoader[Any]) -> DataLoader[Any]:
        """A copy of the user's loader (of any subclass) with an order of ours.

        `DataLoader` forbids new samplers after `__init__` because a live iterator would
        not notice; nothing has iterated this copy, so they are set past that guard.
        """
        rebuilt = copy.copy(source)
        vars(rebuilt)["_iterator"] = None
        if isinstance(source.dataset, IterableDataset):
            return rebuilt
        rebuilt.generator = torch.Generator()
        self._order = order = _Order(source, self._sharding)
        if source.batch_sampler is None:
            vars(rebuilt)["sampler"] = order
        else:
            vars(rebuilt)["batch_sampler"] = order
            if order.is_ours:
                vars(rebuilt)["sampler"] = order.sampler
        if source.num_workers > 0:
            start = functools.partial(_start_workers, rebuilt, order)
            vars(rebuilt)["_get_iterator"] = start
        return rebuilt


def length_of(loader: Any) -> int | float:
    """Batches of a loader, infinite when it does not say."""
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        return math.inf


class _Order:
    """Index batches (or indices) of one epoch, from a given one on.

    torch's own random and sequential samplers are replaced by one whose order follows from
    (seed, epoch). Any other sampler is the user's: it is left as it is, and what it draws
    is the same again when the epoch is resumed.
    """

    def __init__(self, source: DataLoader[Any], sharding: Sharding) -> None:
        plan: Any = own if type(own := source.batch_sampler) is BatchSampler else source
        self.sampler: Any = _epoch_sampler(source, plan, sharding)
        self.is_ours = self.sampler is not None
        self.batch_size = plan.batch_size
        self.drop_last = plan.drop_last and not sharding.whole
        self._samples = len(source.dataset) if isinstance(source.dataset, Sized) else -1
        self._sharding, self.seed = sharding, sharding.seed
        self._global_batch = (plan.batch_size or 1) * sharding.world_size
        self.epoch = self.skip = 0
        self._saved: dict[str, Any] = {}
        self._drawn_from: list[Any] = []
        dataset = source.dataset if source.num_workers == 0 else None
        self._data_generators = _data_generators(dataset)
        if not self.is_ours:
            self.sampler = source.batch_sampler or source.sampler
            deals = isinstance(plan.sampler, DistributedSampler)
            if sharding.shares > 1 and sharding.training and not deals:
                rank_zero_warn(
                    f"{type(source.sampler).__name__} is your own sampler and is left"
                    " alone: let it give each rank its own samples."
                )
        self._generators = generators_of(self.sampler, "sampler")

    def set_epoch(self, epoch: int) -> None:
        """Tell the sampler, and the one inside a batch sampler, which epoch begins."""
        for sampler in (self.sampler, getattr(self.sampler, "sampler", None)):
            _set_epoch(sampler, epoch)

    def start(self, epoch: int, skip: int) -> None:
        """Say which epoch the next iteration is, and how many batches of it are done.

        Raises:
            CheckpointError: some are done, and the data is not what it was.
        """
        if skip:
            self._refuse_other_data()
        self.set_epoch(epoch)
        self.epoch, self.skip = epoch, skip
        restore_generators(self._generators, self._saved.get("drawn_from", []))
        self._drawn_from, self._saved = generator_states(self._generators), {}

    def _refuse_other_data(self) -> None:
        """Batches can be passed over only where they would be the same ones."""
        for key, own, words in (
            ("samples", self._samples, "samples in the data set"),
            ("global_batch", self._global_batch, "samples in a batch of all ranks"),
        ):
            saved = self._saved.get(key, own)
            if saved != own:
                raise CheckpointError(
                    f"The run was saved in mid-epoch with {saved} {words}, and there are"
                    f" {own} now: resume with the same data and batch size, or from a"
                    " checkpoint of an epoch's end."
                )

    def __len__(self) -> int:
        if self.is_ours and self.batch_size is not None:
            return len(self._sizes(self.batch_size))
        return len(self.sampler)

    def __iter__(self) -> Iterator[Any]:
        batches = self.own_batches() if self.is_ours else self._users_batches()
        next(itertools.islice(batches, self.skip, self.skip), None)  # draws now
        return batches

    def _users_batches(self) -> Iterator[Any]:
        """The user's batches; the sampler may draw at any time, apart from everybody."""
        restore_generators(self._generators, self._drawn_from)
        return draw_apart(self.sampler, derive_seed(self.seed, self.epoch))

    def own_batches(self) -> Iterator[Any]:
        indices: Iterator[Any] = iter(self.sampler)
        if self.batch_size is None:
            return indices
        sizes = self._sizes(self.batch_size)
        return (list(itertools.islice(indices, size)) for size in sizes)

    def _sizes(self, size: int) -> list[int]:
        """Sizes of this rank's batches: as many batches on every rank.

        Where no sample is repeated, shares differ by one sample at most. Where the longest
        needs one batch more, the others divide their last batch, so that no rank waits for
        a batch in vain.
        """
        shortest, uneven = divmod(self.sampler.total_size, self._sharding.shares)
        if self.drop_last:
            return [size] * (shortest // size)
        whole, rest = divmod(len(self.sampler), size)
        sizes = [size] * whole + [rest] * (rest > 0)
        if size > 1 and len(sizes) < math.ceil((shortest + (uneven > 0)) / size):
            sizes[-1:] = [size - 1, 1]
        return sizes

    def state_dict(self, within_epoch: bool) -> dict[str, Any]:
        now = generator_states(self._generators)
        return {
            "samples": self._samples,
            "global_batch": self._global_batch,
            "drawn_from": self._drawn_from if within_epoch else now,
            "dataset": generator_states(self._data_generators),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._saved = state
        restore_generators(self._data_generators, state.get("dataset", []))


class _SeededSamples:
    """A data set whose samples draw the same in any worker: from (seed, epoch, index)."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset, self._seed = dataset, seed
        self._generators = _data_generators(dataset)
        if hasattr(dataset, "__getitems__"):
            self.__getitems__ = self._get_items

    def __getitem__(self, key: tuple[int, Any]) -> Any:
        epoch, index = key
        self._seed_sample(epoch, index)
        return self.dataset[index]

    def _get_items(self, keys: list[tuple[int, Any]]) -> Any:
        self._seed_sample(*keys[0])
        return self.dataset.__getitems__([index for _, index in keys])

    def _seed_sample(self, epoch: int, index: Any) -> None:
        """Seed a worker's generators, global ones and the data set's own, for one sample."""
        derived = derive_seed(self._seed, epoch, index)
        seed_generators(derived)
        for generator in self._generators:
            seed_generator(generator, derived)


class _NamedSamples:
    """What an order gives, each index beside the epoch that a worker's seed depends on.

    Args:
        order: the order.
        batched: it gives batches, rather than what the data set takes at once.
    """

    def __init__(self, order: _Order, batched: bool) -> None:
        self._order, self._batched = order, batched

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Any]:
        epoch, batches = self._order.epoch, iter(self._order)
        if self._batched:
            return ([(epoch, index) for index in batch] for batch in batches)
        return ((epoch, samples) for samples in batches)


def _start_workers(loader: DataLoader[Any], order: _Order) -> Any:
    """A loader's iterator, whose workers alone see `_SeededSamples` of the data set."""
    own, batched = vars(loader), loader.batch_sampler is not None
    meanwhile = {
        "dataset": _SeededSamples(loader.dataset, order.seed),
        "worker_init_fn": functools.partial(_begin_work, loader.worker_init_fn),
        "batch_sampler" if batched else "sampler": _NamedSamples(order, batched),
    }
    before = {name: own[name] for name in meanwhile}
    own.update(meanwhile)
    try:
        return type(loader)._get_iterator(loader)
    finally:
        own.update(before)


def _begin_work(init: Callable[[int], None] | None, worker: int) -> None:
    """Show the user's code in a worker the user's own data set."""
    info: Any = get_worker_info()
    object.__setattr__(info, "dataset", info.dataset.dataset)  # torch guards it
    if init is not None:
        init(worker)


def _data_generators(dataset: Any) -> list[Any]:
    """Generators that a data set, the one it wraps, or its transform draw from."""
    return generators_of(dataset, "dataset", "transform")


def _epoch_sampler(source: DataLoader[Any], plan: Any, sharding: Sharding) -> Any:
    """A sampler that takes the place of torch's own, or None for a sampler of the user's."""
    sampler, theirs = plan.sampler, plan is source and source.batch_sampler is not None
    if theirs or type(sampler) not in (RandomSampler, SequentialSampler):
        return None
    samples = len(source.dataset)  # type: ignore[arg-type]
    if getattr(sampler, "replacement", False) or len(sampler) != samples:
        return None
    shuffle = type(sampler) is RandomSampler and not sharding.sequential
    rank = sharding.rank if sharding.enabled else 0
    generator = getattr(sampler, "generator", None) or source.generator
    order: DistributedSampler[Any] = DistributedSampler(
        source.dataset,
        num_replicas=sharding.shares,
        rank=rank,
        shuffle=shuffle,
        seed=generator.initial_seed() % 2**62 if generator else sharding.seed,
    )
    if not sharding.training and samples % sharding.shares:
        size = plan.batch_size or 1
        if samples > sharding.shares and (size > 1 or sharding.whole):  # each one once
            order.total_size = samples
            order.num_samples = len(range(rank, samples, sharding.shares))
        else:
            rank_zero_warn(
                f"{samples} samples in batches of {size} are no whole number for each of"
                f" {sharding.shares} processes: some count twice."
            )
    return order


def _set_epoch(target: Any, epoch: int) -> None:
    """Tell a sampler or data set that wants to know which epoch begins."""
    set_epoch = getattr(target, "set_epoch", None)
    if callable(set_epoch):
        set_epoch(epoch)
