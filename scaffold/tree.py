"""A folder in memory: relative POSIX paths and the files that they name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path


@dataclass(frozen=True)
class File:
    """The bytes of a file and its permissions (0o644, or 0o755 for a script)."""

    content: bytes
    mode: int = 0o644


Tree = dict[str, File]


def script_mode(content: bytes) -> int:
    """Return the permissions that `content` asks for: `#!` makes it executable.

    Read from the content because a wheel, a checkout on Windows and a zip archive all
    lose the permission bits.
    """
    return 0o755 if content.startswith(b"#!") else 0o644


def is_text(content: bytes) -> bool:
    """Tell text from binary as git does: a zero byte near the start is binary."""
    return b"\0" not in content[:8000]


def digest(content: bytes) -> str:
    """Return the SHA-256 of `content`; line endings of text do not count."""
    if is_text(content):
        content = content.replace(b"\r\n", b"\n")
    return hashlib.sha256(content).hexdigest()


def read(folder: Path) -> Tree:
    """Return all files under `folder`, sorted by path; links are not followed."""
    return {
        path.relative_to(folder).as_posix(): _read_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _read_file(path: Path) -> File:
    content = path.read_bytes()
    return File(content, script_mode(content))


def on_disk(path: Path) -> File | None:
    """Return the user's file at `path`, with its own permissions; None if none is there.

    Only whether the owner may execute it counts: the rest is the user's umask.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    if os.name == "nt":
        return File(content, script_mode(content))
    return File(content, 0o755 if path.stat().st_mode & 0o100 else 0o644)


def beside(path: Path) -> Path:
    """Return the path for a file that belongs at `path`, where the user has another.

    `path.new`, or the first of `path.new2`, ... that is not there yet.
    """
    names = chain([".new"], (f".new{number}" for number in count(2)))
    free = (path.with_name(path.name + suffix) for suffix in names)
    return next(candidate for candidate in free if not candidate.exists())


def write(tree: Mapping[str, File], folder: Path) -> None:
    """Write `tree` into the new folder `folder`.

    Raises:
        OSError: `folder` exists, or the disk does not take the files.
    """
    folder.mkdir(parents=True)
    for relative, file in tree.items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, file)


def write_file(path: Path, file: File) -> None:
    """Create `path`; the user's umask applies as to any file they make."""
    mode = 0o777 if file.mode & 0o100 else 0o666
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as new:
        new.write(file.content)
