"""`CombinedLoader`: several loaders iterated as one, together or one after the other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch.utils._pytree import tree_flatten, tree_unflatten

from scaffold_runtime.errors import CheckpointError, DataError, MisconfigurationError
from scaffold_runtime.loader import EpochLoader, Sharding, length_of

# The length of the whole, from the lengths of the members.
_LENGTHS: dict[str, Callable[[list[int | float]], int | float]] = {
    "min_size": min,
    "max_size_cycle": max,
    "max_size": max,
    "sequential": sum,
}
# Where the length is unknown, an epoch is taken to hold fewer cycles of a member than this.
_MANY_CYCLES = 2**16
_NOTHING = object()

Start = Callable[[int, int, int], Iterator[Any]]


class CombinedLoader:
    """Loaders in a list, a tuple, a dict, or any nesting of these, as one loader.

    Iterating gives (batch, index of the batch, index of the loader). A batch is a
    collection like that of the loaders, and the last index 0; `sequential` gives the
    batches of one loader after the other, each with its loader's index.

    Args:
        iterables: the loaders.
        mode: `min_size` stops with the shortest loader; `max_size_cycle` with the longest,
            and starts the others again; `max_size` too, with None for those that are
            exhausted; `sequential` goes through one after the other.

    Attributes:
        flattened: the loaders in a row.
        limits: how many batches of each loader, or of every one, `sequential` takes and
            the length counts.

    Raises:
        MisconfigurationError: the mode is unknown, or there are not as many limits as
            loaders.
    """

    def __init__(self, iterables: Any, mode: str = "min_size") -> None:
        if mode not in _LENGTHS:
            raise MisconfigurationError(
                f"CombinedLoader(mode={mode!r}) is unknown: choose {', '.join(_LENGTHS)}."
            )
        self.iterables, self.mode = iterables, mode
        self.flattened, self._spec = tree_flatten(
            iterables, is_leaf=lambda node: node is not iterables and not _holds(node)
        )
        self.limits: list[int | float] | int | float | None = None

    def __len__(self) -> int:
        """Batches of the whole.

        Raises:
            TypeError: a loader that counts has no length: infinity is no integer.
        """
        lengths = list(map(length_of, self.flattened))
        return self.length_of(lengths)  # type: ignore[return-value]

    def __iter__(self) -> Iterator[tuple[Any, int, int]]:
        """The batches with their index and their loader's."""
        if self.mode == "sequential":
            limits = [None if most == math.inf else int(most) for most in self._most()]
            return (
                (batch, index, member)
                for member, loader in enumerate(self.flattened)
                for index, batch in enumerate(itertools.islice(loader, limits[member]))
            )
        iterators = list(map(iter, self.flattened))
        places = [[0, 0] for _ in iterators]
        batches = _together(
            self.mode, lambda i, *_: iter(self.flattened[i]), places, iterators
        )
        return ((self.restore_structure(b), i, 0) for i, b in enumerate(batches))

    def reset(self) -> None:
        """Let workers that wait for the next epoch go; iterating always starts anew."""
        for loader in self.flattened:
            if hasattr(loader, "_iterator"):
                loader._iterator = None

    def _most(self) -> list[int | float]:
        """The limit of each loader."""
        limits, count = self.limits, len(self.flattened)
        if not isinstance(limits, list):
            return [math.inf if limits is None else limits] * count
        if len(limits) != count:
            raise MisconfigurationError(f"limits={limits} are not for {count} loaders.")
        return limits

    def length_of(self, lengths: list[int | float]) -> int | float:
        """Batches of the whole where the members have so many, infinite where unknown."""
        return _LENGTHS[self.mode](list(map(min, lengths, self._most())) or [0])

    def restore_structure(self, parts: list[Any]) -> Any:
        """A collection like that of the loaders, of one part for each."""
        return tree_unflatten(parts, self._spec)


class CombinedEpochLoader(EpochLoader):
    """A `CombinedLoader` that can be iterated from any batch of any epoch.

    A member that starts again within an epoch starts an epoch of its own.

    Args:
        source: the combined loader.
        sharding: how every member's samples are dealt out.
    """

    source: CombinedLoader

    def __init__(self, source: CombinedLoader, sharding: Sharding) -> None:
        if source.mode == "sequential":
            raise MisconfigurationError(
                "CombinedLoader(mode='sequential') is for evaluation, which tells its loaders"
                f" apart: choose one of {', '.join(list(_LENGTHS)[:-1])}."
            )
        if not source.flattened:
            raise DataError("There is no loader to train on: the collection is empty.")
        super().__init__(source, sharding)
        self._members = [EpochLoader(member, sharding) for member in source.flattened]
        self.loader = source.restore_structure([m.loader for m in self.members])
        # Of each member the cycle that it is in, from 0, and the batches taken of it;
        # without cycles, cycle 1 is its end.
        self._places: list[list[int]] = []
        self._iterators: list[Iterator[Any]] = []
        self._saved: dict[str, Any] = {}

    @property
    def length(self) -> int | float:
        """Batches in an epoch, infinite where a member that counts does not say."""
        return self.source.length_of([member.length for member in self.members])

    def limit(self, counts: list[int | float]) -> int | float:
        """Take so many batches of each member; the batches of an epoch then."""
        self.source.limits = counts
        return self.length

    def iterate(self, epoch: int, skip: int = 0) -> Iterator[Any]:
        """Iterate one epoch, from its batch `skip` on; without a state they are fetched."""
        saved, self._saved = self._saved if skip else {}, {}
        self._fetched, self._is_at_end = saved.get("fetched", []), False
        places = self._places = saved.get("places") or [[0, 0] for _ in self.members]

        def start(member: int, cycle: int, taken: int) -> Iterator[Any]:
            if cycle and self.source.mode != "max_size_cycle":
                return iter(())
            loader, cycles = self.members[member], _MANY_CYCLES
            if self.length < math.inf:
                cycles = math.ceil(self.length / (loader.length or 1)) or 1
            return loader.iterate(epoch * cycles + cycle, taken)

        # Now rather than with the first batch, since to start may draw random numbers.
        self._iterators = [start(i, *place) for i, place in enumerate(places)]
        batches = map(
            self.source.restore_structure,
            _together(self.source.mode, start, places, self._iterators),
        )
        if not saved:
            next(itertools.islice(batches, skip, skip), None)
        rest = iter(()) if saved.get("at_end") else batches
        return itertools.chain(self._fetched, rest)

    def finish(self, batches: Iterator[Any], taken: int) -> None:
        """Let the members whose batches are all taken come to their end."""
        for member, iterator, place in zip(
            self.members, self._iterators, self._places, strict=True
        ):
            member.finish(iterator, place[1])

    def lost_samples(self, error: BaseException) -> DataError | None:
        """The error of the member whose data worker died."""
        return next(filter(None, (m.lost_samples(error) for m in self.members)), None)

    def close(self) -> None:
        """Let the members' workers go."""
        self._iterators.clear()
        for member in self.members:
            member.close()

    def state_dict(self, within_epoch: bool = True) -> dict[str, Any]:
        """Where each member stands, and what its batches to come depend on."""
        places = self._places or [[0, 0] for _ in self.members]
        return {
            "places": [list(place) for place in places],
            "fetched": self._fetched,
            "at_end": self._is_at_end,
            "members": [
                member.state_dict(within_epoch and place[1] > 0)
                for member, place in zip(self.members, places, strict=True)
            ],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state before the epoch is iterated again.

        Raises:
            CheckpointError: it is that of other loaders.
        """
        states = state.get("members", [])
        if len(states) != len(self.members):
            raise CheckpointError(
                f"The run was saved with {len(states) or 1} training loader(s), and there"
                f" are {len(self.members)} now: resume with the same loaders."
            )
        for member, own in zip(self.members, states, strict=True):
            member.load_state_dict(own)
        self._saved = state


def _together(
    mode: str, start: Start, places: list[list[int]], iterators: list[Iterator[Any]]
) -> Iterator[list[Any]]:
    """A batch of each member; keeps `places` and `iterators` up to date."""
    while iterators:
        batches: list[Any] = []
        for member, place in enumerate(places):
            batch = next(iterators[member], _NOTHING)
            if batch is _NOTHING:
                place[:] = place[0] + 1, 0
                if mode == "min_size" or all(cycle for cycle, _ in places):
                    return
                if mode == "max_size":
                    batches.append(None)
                    continue
                iterators[member] = start(member, *place)
                batch = next(iterators[member], _NOTHING)
                if batch is _NOTHING:
                    return
            place[1] += 1
            batches.append(batch)
        yield batches


def combine(loaders: Any, mode: str) -> Any:
    """A collection of loaders as a `CombinedLoader`; a loader as it is.

    A list of batches is a loader, but for evaluation, where a list is one of loaders.
    """
    kinds = (Mapping, list, tuple) if mode == "sequential" else (Mapping,)
    is_one = not isinstance(loaders, kinds) and not _holds(loaders)
    return loaders if is_one else CombinedLoader(loaders, mode)


def _holds(node: Any) -> bool:
    """It is a collection with a loader in it, at whatever depth, rather than a loader."""
    children = list(node.values()) if isinstance(node, Mapping) else node
    is_nest = isinstance(children, (list, tuple))
    return is_nest and any(_holds(child) or _is_loader(child) for child in children)


def _is_loader(node: Any) -> bool:
    """It can be iterated, and is neither a batch nor a collection of anything."""
    others = (str, bytes, list, tuple, Mapping)
    is_data = hasattr(node, "shape") or isinstance(node, others)
    return hasattr(node, "__iter__") and not is_data
