"""Three-way merge of lines, as `git merge-file --diff3` does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Chunk:
    """A stretch of the merge: what the three sides have there.

    `merged` is None where both sides changed the same place differently.
    """

    base: Sequence[str]
    ours: Sequence[str]
    theirs: Sequence[str]
    merged: Sequence[str] | None


@dataclass(frozen=True)
class _Change:
    """Lines [start, end) of the base became lines [new_start, new_end) of a side."""

    start: int
    end: int
    new_start: int
    new_end: int


def merge_lines(
    base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]
) -> list[Chunk]:
    """Merge the changes from `base` to `ours` with those from `base` to `theirs`.

    Changes that touch each other count as changes of the same place, as in git.

    Returns:
        The stretches in order, also those that no side changed.
    """
    sides = (ours, theirs)
    pending = [_changes(base, ours), _changes(base, theirs)]
    # Where a side's next unchanged line is, less its place in the base.
    offsets = [0, 0]
    chunks: list[Chunk] = []
    position = 0
    while pending[0] or pending[1]:
        start = min(changes[0].start for changes in pending if changes)
        groups, end = _take_touching(pending, start)
        if start > position:
            same = base[position:start]
            chunks.append(Chunk(same, same, same, same))
        texts = []
        for side in (0, 1):
            first = start + offsets[side]
            if groups[side]:
                last = groups[side][-1]
                offsets[side] = last.new_end - last.end
            texts.append(sides[side][first : end + offsets[side]])
        chunks.append(_chunk(base[start:end], texts[0], texts[1]))
        position = end
    if position < len(base):
        same = base[position:]
        chunks.append(Chunk(same, same, same, same))
    return chunks


def _changes(base: Sequence[str], side: Sequence[str]) -> list[_Change]:
    codes = SequenceMatcher(None, base, side, autojunk=False).get_opcodes()
    return [_Change(*where) for tag, *where in codes if tag != "equal"]


def _take_touching(
    pending: list[list[_Change]], start: int
) -> tuple[list[list[_Change]], int]:
    """Take from both sides the changes that touch each other, beginning at `start`."""
    groups: list[list[_Change]] = [[], []]
    end = start
    grown = True
    while grown:
        grown = False
        for side in (0, 1):
            while pending[side] and pending[side][0].start <= end:
                change = pending[side].pop(0)
                groups[side].append(change)
                end = max(end, change.end)
                grown = True
    return groups, end


def _chunk(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> Chunk:
    if ours == theirs or theirs == base:
        return Chunk(base, ours, theirs, ours)
    if ours == base:
        return Chunk(base, ours, theirs, theirs)
    return Chunk(base, ours, theirs, None)


def marked(chunks: Sequence[Chunk]) -> Iterator[str]:
    """Yield the merged lines; a conflict stands between diff3 markers."""
    for chunk in chunks:
        if chunk.merged is not None:
            yield from chunk.merged
            continue
        parts = (("<<<<<<< yours", chunk.ours), ("||||||| base", chunk.base))
        for marker, lines in (*parts, ("=======", chunk.theirs)):
            yield f"{marker}\n"
            yield from _ended(lines)
        yield ">>>>>>> scaffold\n"


def _ended(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n"
