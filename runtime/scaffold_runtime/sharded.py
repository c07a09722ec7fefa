"""Folders of `torch.distributed.checkpoint`, alone or from Lightning's sharded strategies.

Their index is a pickle, which torch itself reads without a guard. Here only its own plain
records come out of it, and no class of torch's is imported for them.
"""

from __future__ import annotations

import math
import os
import pickle
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from scaffold_runtime.archive import NotPlainError, load_archive, verify_archive

INDEX = ".metadata"
LIGHTNING_REST = "meta.pt"


class _Record:
    """The attributes of any record of an index."""

    def __setstate__(self, state: Any) -> None:
        vars(self).update(state if isinstance(state, dict) else {"state": state})


class _IndexReader(pickle._Unpickler):
    """Makes plain records of an index. The C reader's memory can be made to overflow."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a class of the index.

        Raises:
            NotPlainError: it has no place in an index.
        """
        if module.startswith("torch.distributed.checkpoint."):
            return int if name == "_MEM_FORMAT_ENCODING" else _Record
        if module.startswith("pathlib") and name.endswith("Path"):
            return os.path.join
        if (module, name) == ("torch", "Size"):
            return tuple
        if (module, name) == ("torch.serialization", "_get_layout"):
            return str
        if module == "torch" and isinstance(vars(torch).get(name), torch.dtype):
            return vars(torch)[name]
        raise NotPlainError(f"{module}.{name} in {INDEX}")


def read_folder(folder: Path, map_location: Any) -> dict[str, Any]:
    """Read a folder's tensors and plain data, under the names of a checkpoint's entries.

    No more is made of the folder than the bytes that lie in it, whatever shapes it claims.

    Raises:
        ValueError: a part is missing, has changed, or lies elsewhere; broken structure
            raises almost anything.
        NotPlainError: the folder holds more than plain data.
    """
    with open(_own_file(folder, INDEX), "rb") as file:
        index = _IndexReader(file).load()
    pieces: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
    for key, place in index.storage_data.items():
        pieces[key.fqn].append((getattr(key, "offset", None), place))
    claimed = sum(max(0, place.length) for place in index.storage_data.values())
    if claimed > sum(file.stat().st_size for file in folder.iterdir()):
        raise ValueError("it claims more bytes than its files hold")
    content: dict[Any, Any] = {}
    for name, entry in index.state_dict_metadata.items():
        parts = [(at, _read(folder, p, map_location)) for at, p in pieces[name]]
        value = _join(name, entry, parts) if hasattr(entry, "chunks") else parts[0][1]
        *path, last = (index.planner_data or {}).get(name, (name,))
        inner = content
        for step in path:
            inner = inner.setdefault(step, {})
        inner[last] = value
    content = _with_lists(content)
    rest = folder / LIGHTNING_REST
    if rest.exists():
        verify_archive(_own_file(folder, LIGHTNING_REST))
        content = {**load_archive(rest, map_location), **content}
    return _in_our_words(content)


def _own_file(folder: Path, name: str) -> Path:
    """A file that lies in the folder itself."""
    file = folder / name
    if Path(name).name != name or file.is_symlink() or not file.is_file():
        raise ValueError(f"it has no file {name} of its own")
    return file


def _read(folder: Path, place: Any, map_location: Any) -> Any:
    """What lies at one place of one of the folder's files."""
    file = _own_file(folder, place.relative_path)
    if getattr(place, "transform_descriptors", None):
        raise ValueError(f"{file.name} is compressed, which only its writer can read")
    if not 0 <= place.offset <= place.offset + place.length <= file.stat().st_size:
        raise ValueError(f"{file.name} is too short")
    with open(file, "rb") as opened:
        opened.seek(place.offset)
        content = opened.read(place.length)
    verify_archive(content)
    part = load_archive(content, map_location)
    if isinstance(part, torch.Tensor) and part.nbytes > place.length:
        raise ValueError(f"a tensor in {file.name} claims more than the file holds")
    return part


def _join(name: str, entry: Any, parts: list[tuple[Any, torch.Tensor]]) -> torch.Tensor:
    """The whole of a tensor that was saved in parts."""
    size, (_, first) = tuple(entry.size), parts[0]
    if sum(part.numel() for _, part in parts) != math.prod(size):
        raise ValueError(f"{name} is not complete")
    whole = torch.zeros(size, dtype=entry.properties.state[0], device=first.device)
    for offsets, part in parts:
        ranges = zip(offsets, part.shape, strict=True)
        region = whole[tuple(slice(at, at + length) for at, length in ranges)]
        if region.shape != part.shape or region.dtype != part.dtype:
            raise ValueError(f"a part of {name} does not fit")
        region.copy_(part)
    return whole


def _with_lists(value: Any) -> Any:
    """Lists again, where the index numbers what was in one."""
    if not isinstance(value, dict):
        return value
    items = {key: _with_lists(item) for key, item in value.items()}
    if items and items.keys() == set(range(len(items))):
        return [items[number] for number in range(len(items))]
    return items


def _in_our_words(content: dict[str, Any]) -> dict[str, Any]:
    """Entries under Lightning's documented names, optimizer states numbered as torch's."""
    if "state_dict" not in content and "model" in content:
        content["state_dict"] = content.pop("model")
        names = [key for key in content if key.startswith("optimizer_")]
        if names:
            names.sort(key=lambda name: (len(name), name))
            content["optimizer_states"] = [content.pop(name) for name in names]
    if "state_dict" not in content:
        return {"state_dict": content}
    for optimizer in content.get("optimizer_states", ()):
        saved, groups = optimizer.get("state", {}), optimizer["param_groups"]
        names = [name for group in groups for name in group["params"]]
        numbers = iter(range(len(names)))
        for group in groups:
            group["params"] = [next(numbers) for _ in group["params"]]
        optimizer["state"] = {
            number: saved[str(name)]
            for number, name in enumerate(names)
            if str(name) in saved
        }
    return content
