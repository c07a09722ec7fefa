"""A plan: what a command is about to do, as operations on a tree of files.

`--dry-run`, `--diff`, `--json` and the real run all read the same plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scaffold.tree import File, is_text

# Folders that a person sees as one thing, not file by file.
_FOLDED = (".scaffold/", "vendor/")


@dataclass(frozen=True)
class Operation:
    """One file before and after; None is "there is no such file"."""

    path: str
    before: File | None
    after: File | None

    @property
    def action(self) -> str:
        """create, modify or delete."""
        if self.before is None:
            return "create"
        return "modify" if self.after is not None else "delete"

    def as_json(self) -> dict[str, Any]:
        """Return the operation as `--json` shows it."""
        shown: dict[str, Any] = {"action": self.action, "path": self.path}
        if self.after is not None:
            shown["bytes"] = len(self.after.content)
            shown["mode"] = f"{self.after.mode:04o}"
        return shown


@dataclass(frozen=True)
class Plan:
    """All operations of one command.

    Attributes:
        command: the word of the command line.
        root: the project's folder.
        operations: sorted by path.
        next: commands to try afterwards, as they work when typed.
        details: what else `--json` shows.
        title: how `scaffold history` calls it.
        notes: what the user should know, or has to do by hand.
        exit_code: 0 done, 3 one step left for the user, 4 conflicts.
    """

    command: str
    root: Path
    operations: tuple[Operation, ...]
    next: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    notes: tuple[str, ...] = ()
    exit_code: int = 0

    def summary(self) -> str:
        """Return what a person cares about: how many files of their own."""
        own = sum(not o.path.startswith(_FOLDED) for o in self.operations)
        return f"{own} files"

    def lines(self) -> Iterator[str]:
        """Yield a line for each file, and one for each folder of machinery."""
        yield from self.own_lines()
        folded = Counter(
            (operation.action, folder)
            for operation in self.operations
            for folder in _FOLDED
            if operation.path.startswith(folder)
        )
        for (action, folder), count in sorted(folded.items()):
            yield f"{action}  {folder} ({count} files)"

    def own_lines(self) -> Iterator[str]:
        """Yield a line for each file that a person works with."""
        for operation in self.operations:
            if not operation.path.startswith(_FOLDED):
                yield f"{operation.action}  {operation.path}"

    def diff(self) -> Iterator[str]:
        """Yield the lines of a unified diff of all files but the folded ones."""
        for operation in self.operations:
            if not operation.path.startswith(_FOLDED):
                yield from _file_diff(operation)

    def as_json(self, dry_run: bool) -> dict[str, Any]:
        """Return the plan as `--json` shows it."""
        return {
            "command": self.command,
            "dry_run": dry_run,
            **self.details,
            "operations": [operation.as_json() for operation in self.operations],
            "notes": list(self.notes),
            "next": list(self.next),
        }


def _file_diff(operation: Operation) -> Iterator[str]:
    from difflib import unified_diff

    before, after = operation.before, operation.after
    old = "/dev/null" if before is None else f"a/{operation.path}"
    new = "/dev/null" if after is None else f"b/{operation.path}"
    if not all(is_text(file.content) for file in (before, after) if file is not None):
        yield f"Binary files {old} and {new} differ"
        return
    for line in unified_diff(_lines(before), _lines(after), old, new, lineterm=""):
        # unified_diff ends only its own lines without a break: content keeps its own.
        yield line.rstrip("\r\n")


def _lines(file: File | None) -> list[str]:
    if file is None:
        return []
    return file.content.decode("utf-8", errors="replace").splitlines(keepends=True)
