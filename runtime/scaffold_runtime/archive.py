"""torch's zip archives: verified by their checksums, and read as data only."""

from __future__ import annotations

import io
import mmap
import os
import pickle
import struct
import zipfile
import zlib
from argparse import Namespace
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from scaffold_runtime.launch import rank_zero_warn

# Bytes that a tensor may claim whose elements share memory, as an expanded one's do.
ROOM = 2**20


class NotPlainError(Exception):
    """What is read holds more than plain data; the message names what."""


class Foreign:
    """Stands for an object that is not plain data: nothing is imported or run for it.

    Attributes:
        kind: dotted name of what the archive asks for.
    """

    kind = ""

    def __new__(cls, *_: Any) -> Foreign:
        """Take whatever the object would have been made of."""
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Take no state."""


# What stands for classes that hold plain data, and that Lightning's checkpoints hold.
_FAMILIAR: dict[str, Any] = {
    "argparse.Namespace": Namespace,
    "collections.defaultdict": lambda *_: {},
    "lightning.fabric.utilities.data.AttributeDict": dict,
    "lightning_fabric.utilities.data.AttributeDict": dict,
    "pytorch_lightning.utilities.parsing.AttributeDict": dict,
}
for _kind in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"):
    _FAMILIAR |= dict.fromkeys(
        (f"pathlib.{_kind}", f"pathlib._local.{_kind}"), os.path.join
    )

# What is read back as it was saved, beside nests of it.
_STORABLE = {bool, int, float, complex, str, bytes, bytearray, Counter, type(None)}
_STORABLE |= {torch.nn.Parameter, torch.Tensor, torch.dtype, torch.device, torch.Size}


def leaves(value: Any) -> Iterator[Any]:
    """What a nest of mappings, sequences and namespaces holds in the end, keys too."""
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    elif isinstance(value, Namespace):
        value = vars(value).values()
    elif not isinstance(value, (list, tuple, set)):
        yield value
        return
    for item in value:
        yield from leaves(item)


def storable(value: Any, place: str) -> Any:
    """A nest with Python's numbers for NumPy's.

    A warning names what could not be read back, by its `place` in the checkpoint.
    """
    if type(value) in (list, tuple, set):
        if _STORABLE.issuperset(map(type, value)):  # so long lists cost next to nothing
            return value
        items = [storable(item, f"{place}[{i}]") for i, item in enumerate(value)]
        return type(value)(items)
    if type(value) in (dict, OrderedDict):
        keys = [storable(key, f"a key of {place}") for key in value]
        items = [storable(item, f"{place}[{key!r}]") for key, item in value.items()]
        return type(value)(zip(keys, items, strict=True))
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        value = value.item() if value.ndim == 0 else value
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if type(value) not in _STORABLE and kind not in _FAMILIAR:
        rank_zero_warn(
            f"{place} of the checkpoint is a {kind}, which is not plain data: no run can go"
            " on from this file. Keep numbers, strings, tensors and nests of them in it."
        )
    return value


def foreign_kind(value: Any) -> str:
    """The name of the first thing in a nest that is not plain data, "" if all of it is."""
    kinds = (leaf if isinstance(leaf, type) else type(leaf) for leaf in leaves(value))
    return next((kind.kind for kind in kinds if issubclass(kind, Foreign)), "")


def inflated(value: Any) -> str:
    """The first tensor in a nest that claims more elements than were saved, "" without."""
    for leaf in leaves(value):
        if isinstance(leaf, torch.Tensor) and leaf.nbytes > ROOM:
            if leaf.is_meta or leaf.nbytes > leaf.untyped_storage().nbytes():
                return f"a tensor that claims {leaf.numel():,} elements"
    return ""


def verify_archive(source: Path | bytes) -> None:
    """Compare what an archive holds with the checksums that were written with it.

    Raises:
        ValueError: its bytes have changed; broken structure raises almost anything.
    """
    if isinstance(source, bytes):
        _verify(io.BytesIO(source), memoryview(source))
        return
    with (
        open(source, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as view,
    ):
        _verify(mapped, view)


def _verify(file: Any, view: memoryview) -> None:
    """Read every entry once, where it lies, on all cores; zipfile's test copies pieces."""

    def is_whole(entry: zipfile.ZipInfo) -> bool:
        lengths = struct.unpack_from("<HH", view, entry.header_offset + 26)
        start = entry.header_offset + 30 + sum(lengths)
        checksum = zlib.crc32(view[start : start + entry.file_size])
        # torch takes memory as it is for the content of an entry that says folder.
        is_stored = entry.compress_type == 0 and not entry.external_attr & 0x10
        return is_stored and checksum == entry.CRC

    with zipfile.ZipFile(file) as archive, ThreadPoolExecutor() as pool:
        entries = archive.infolist()
        for entry, whole in zip(entries, pool.map(is_whole, entries), strict=True):
            if not whole:
                raise ValueError(f"the checksum of {entry.filename} is wrong")


def load_archive(
    source: Path | bytes, map_location: Any = "cpu", mmap: bool = False
) -> Any:
    """Read an archive's content; a `Foreign` stands for each object that is not plain.

    Raises:
        NotPlainError: the archive asks for what nothing can stand for.
    """

    def opened() -> Any:
        return source if isinstance(source, Path) else io.BytesIO(source)

    options: dict[str, Any] = {"map_location": map_location, "mmap": mmap}
    try:
        return torch.load(opened(), weights_only=True, **options)
    except pickle.UnpicklingError:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(opened())
    stand_ins: list[Any] = [
        (_FAMILIAR.get(name) or type(name, (Foreign,), {"kind": name}), name)
        for name in names
    ]
    try:
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(opened(), weights_only=True, **options)
    except pickle.UnpicklingError:
        asked = ", ".join(sorted(names)) or "operations that no such file needs"
        raise NotPlainError(asked) from None
