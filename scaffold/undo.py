"""`scaffold undo`: plan how the last operations are put back, without git."""

from __future__ import annotations

from pathlib import Path

from scaffold import journal, state, tree
from scaffold.errors import UsageError
from scaffold.formatting import Style
from scaffold.merge import merge
from scaffold.plan import Operation, Plan
from scaffold.tree import File


def plan_undo(root: Path, count: int) -> tuple[Plan, list[journal.Entry]]:
    """Return the plan that puts back the last `count` operations, and their entries.

    What the user changed after them stays: it is merged where it can be.

    Raises:
        UsageError: there are not that many.
    """
    entries = journal.entries(root)
    if not 0 < count <= len(entries):
        raise UsageError(f"there are {len(entries)} operations to undo, not {count}.")
    undone = entries[-count:]
    before: dict[str, File | None] = {}
    after: dict[str, File | None] = {}
    for entry in undone:
        for operation in entry.operations:
            before.setdefault(operation.path, operation.before)
            after[operation.path] = operation.after
    operations, notes = [], []
    for path in sorted(before):
        now = tree.on_disk(root / path)
        wanted = _put_back(path, before[path], now, after[path])
        if wanted is now and before[path] != now:
            notes.append(f"kept: {path}, which you changed since")
        elif wanted != now:
            operations.append(Operation(path, now, wanted))
    plan = Plan(
        command="undo",
        root=root,
        operations=tuple(operations),
        details={"undone": [entry.command for entry in undone]},
        title=f"undo {count}",
        notes=tuple(notes),
    )
    return plan, undone


def _put_back(
    path: str, before: File | None, now: File | None, after: File | None
) -> File | None:
    """Return what shall be at `path`: `now` itself where the user's change stays."""
    if now == after or path.startswith(f"{state.FOLDER}/"):
        return before
    if before is None or now is None or after is None:
        return now
    merged = merge(path, base=after, ours=now, theirs=before, style=Style())
    return now if merged.conflict else merged.file
