"""Carrying out a plan in a project that exists: all of it, or nothing.

.scaffold/undo/journal.json    an operation under way: each file before and after
.scaffold/undo/<number>.json   the same after it happened: the undo store

The journal is one file, so that it is there whole or not at all, and costs one wait for
the disk. A kill before it is in place has changed nothing; a kill after it leaves an
operation that the next command carries out to its end.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from scaffold import state, tree
from scaffold.errors import ScaffoldError, quoted
from scaffold.fault import crash_point
from scaffold.plan import Operation, Plan
from scaffold.tree import File

KEPT = 20


def undo_folder(root: Path) -> Path:
    """Return the folder of the undo store and the journal."""
    return root / state.FOLDER / "undo"


def _journal(root: Path) -> Path:
    return undo_folder(root) / "journal.json"


@dataclass(frozen=True)
class Entry:
    """An operation that happened: what `scaffold history` lists and `undo` puts back."""

    path: Path
    command: str
    operations: tuple[Operation, ...]
    undoes: tuple[str, ...] = ()


def entries(root: Path) -> list[Entry]:
    """Return what the undo store has, oldest first."""
    return [_read(path) for path in _store(root)]


def _store(root: Path) -> list[Path]:
    paths = [p for p in undo_folder(root).glob("*.json") if p.stem.isdigit()]
    return sorted(paths, key=lambda path: int(path.stem))


def apply(plan: Plan, undoes: Iterable[Entry] = ()) -> None:
    """Carry out `plan`; call it in `exclusive`.

    Args:
        plan: its root is the project.
        undoes: entries that it puts back; they leave the undo store with it.

    Raises:
        ScaffoldError: a path leads through a link or into .git, or the disk refuses;
            nothing was changed.
    """
    for operation in plan.operations:
        _check_path(plan.root, operation.path)
    try:
        _stage(plan, [entry.path.name for entry in undoes])
    except OSError as error:
        _draft(plan.root).unlink(missing_ok=True)
        raise _refusal(error) from error
    crash_point("journal.committed")
    try:
        _finish(plan.root)
    except OSError as error:
        _roll_back(plan.root)
        raise _refusal(error) from error


def is_pending(root: Path) -> bool:
    """Tell whether a command was killed in this project, or is at work."""
    return _journal(root).exists() or _draft(root).exists()


def recover(root: Path) -> str | None:
    """Finish or remove what a killed command left; return what was done, if anything."""
    if _journal(root).exists():
        command = _read(_journal(root)).command
        _finish(root)
        return f"finished the interrupted {quoted(command)}."
    if _draft(root).exists():
        _draft(root).unlink()
        return "a command was interrupted before it changed anything."
    return None


def _draft(root: Path) -> Path:
    return undo_folder(root) / "journal.json.draft"


def _stage(plan: Plan, undoes: list[str]) -> None:
    content = {
        "command": plan.title,
        "undoes": undoes,
        "operations": [
            {"path": o.path, "before": _to_json(o.before), "after": _to_json(o.after)}
            for o in plan.operations
        ],
    }
    draft = _draft(plan.root)
    crash_point("journal.staging")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    crash_point("journal.staged")
    draft.replace(_journal(plan.root))
    _sync_folder(draft.parent)


def _finish(root: Path) -> None:
    """Carry out the committed journal from wherever it stands, then keep it for undo."""
    entry = _read(_journal(root))
    for operation in entry.operations:
        crash_point("journal.replacing")
        _replace(root, operation.path, operation.before, operation.after)
    crash_point("journal.replaced")
    _keep(root, entry.undoes)
    crash_point("journal.kept")


def _roll_back(root: Path) -> None:
    entry = _read(_journal(root))
    for operation in reversed(entry.operations):
        if tree.on_disk(root / operation.path) == operation.after:
            _replace(root, operation.path, operation.after, operation.before)
    _journal(root).unlink()


def _replace(root: Path, relative: str, old: File | None, new: File | None) -> None:
    """Put `new` in the place of `old`; what the user put there meanwhile stays."""
    path = root / relative
    current = tree.on_disk(path)
    if current == new:
        return
    if new is None:
        if current == old:
            path.unlink()
            _remove_empty_folders(path.parent, root)
        return
    if current not in (None, old):
        path = tree.beside(path)
    staged = undo_folder(root) / "staged"
    staged.unlink(missing_ok=True)
    tree.write_file(staged, new)
    path.parent.mkdir(parents=True, exist_ok=True)
    staged.replace(path)


def _keep(root: Path, undoes: tuple[str, ...]) -> None:
    """Turn the finished journal into the newest entry of the undo store."""
    for name in undoes:
        (undo_folder(root) / name).unlink(missing_ok=True)
    if undoes:
        _journal(root).unlink()
        return
    kept = _store(root)
    number = int(kept[-1].stem) + 1 if kept else 1
    _journal(root).replace(undo_folder(root) / f"{number}.json")
    for path in kept[: -KEPT + 1]:
        path.unlink()


def _read(path: Path) -> Entry:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        operations = tuple(
            Operation(o["path"], _from_json(o["before"]), _from_json(o["after"]))
            for o in content["operations"]
        )
        return Entry(path, content["command"], operations, tuple(content["undoes"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise ScaffoldError(
            f"{state.FOLDER}/undo/{path.name} is damaged: remove it."
        ) from None


def _to_json(file: File | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        return {"mode": file.mode, "text": file.content.decode()}
    except UnicodeDecodeError:
        return {"mode": file.mode, "base64": base64.b64encode(file.content).decode()}


def _from_json(stored: dict[str, Any] | None) -> File | None:
    if stored is None:
        return None
    if "text" in stored:
        return File(stored["text"].encode(), stored["mode"])
    return File(base64.b64decode(stored["base64"]), stored["mode"])


def _check_path(root: Path, relative: str) -> None:
    """Refuse a path that leads out of the project, through a link or into .git."""
    parts = Path(relative).parts
    inside = not Path(relative).is_absolute() and ".." not in parts
    if not inside or ".git" in parts:
        raise ScaffoldError(f"{quoted(relative)} is no path that scaffold may write.")
    path = root
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise ScaffoldError(
                f"{quoted(relative)} leads through a link: replace the link by what it "
                "stands for."
            )


def _remove_empty_folders(folder: Path, root: Path) -> None:
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        # Windows cannot open a folder; it writes a rename through by itself.
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refusal(error: OSError) -> ScaffoldError:
    return ScaffoldError(f"cannot write: {error.strerror}; nothing was changed.")


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Let one command at a time change the project.

    Raises:
        ScaffoldError: another one is at work.
    """
    folder = undo_folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "busy").open("a") as file:
        if not _try_lock(file):
            raise ScaffoldError(
                "another scaffold command is at work in this project: "
                "wait for it, then say it again."
            )
        yield


def _try_lock(file: IO[str]) -> bool:
    """Lock `file` until it is closed, by the process's end at the latest."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
