"""Three-way merge of what YAML and TOML files mean: by key, and lists item by item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from scaffold.structured import spelled

_MISSING = object()


class DataConflict(Exception):
    """Both sides changed the same value differently."""


def merge_data(base: Any, ours: Any, theirs: Any) -> Any:
    """Return `ours` with the changes from `base` to `theirs`.

    Raises:
        DataConflict: both sides changed one value differently.
    """
    if _same(ours, theirs) or _same(theirs, base):
        return ours
    if _same(ours, base):
        return theirs
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return _merge_keys(base if isinstance(base, dict) else {}, ours, theirs)
    if all(isinstance(side, list) for side in (base, ours, theirs)):
        return _merge_items(base, ours, theirs)
    raise DataConflict


def _same(left: Any, right: Any) -> bool:
    if left is _MISSING or right is _MISSING:
        return left is right
    return spelled(left) == spelled(right)


def _merge_keys(
    base: dict[Any, Any], ours: dict[Any, Any], theirs: dict[Any, Any]
) -> dict[Any, Any]:
    merged = {}
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        value = merge_data(
            base.get(key, _MISSING), ours.get(key, _MISSING), theirs.get(key, _MISSING)
        )
        if value is not _MISSING:
            merged[key] = value
    return merged


def _merge_items(base: list[Any], ours: list[Any], theirs: list[Any]) -> list[Any]:
    """Merge lists; an insertion beside a changed item is no conflict, in it is one."""
    merged: list[Any] = []
    ours_at, theirs_at = _aligned(base, ours), _aligned(base, theirs)
    for index in range(len(base) + 1):
        inserted = [ours_at.inserted[index], theirs_at.inserted[index]]
        if inserted[0] and inserted[1] and not _same(*inserted):
            raise DataConflict
        merged += inserted[0] or inserted[1]
        if index < len(base):
            value = merge_data(
                base[index], ours_at.items[index], theirs_at.items[index]
            )
            if value is not _MISSING:
                merged.append(value)
    return merged


@dataclass
class _Alignment:
    """Where a base list's items are in a changed list.

    Attributes:
        items: for each item of the base, the other's, changed or not; or _MISSING.
        inserted: for each place in the base, the other's new items there.
    """

    items: list[Any]
    inserted: list[list[Any]]


def _aligned(base: Sequence[Any], side: Sequence[Any]) -> _Alignment:
    found = _Alignment([_MISSING] * len(base), [[] for _ in range(len(base) + 1)])
    left, right = list(map(spelled, base)), list(map(spelled, side))
    codes = SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
    for tag, start, end, new_start, new_end in codes:
        if tag == "insert":
            found.inserted[start] = list(side[new_start:new_end])
        elif end - start == new_end - new_start:
            found.items[start:end] = side[new_start:new_end]
        elif tag == "replace":
            # Which of them became which cannot be told.
            raise DataConflict
    return found
