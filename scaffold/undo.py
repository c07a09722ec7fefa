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
    files: dict[str, File | None] = {}
    kept: set[str] = set()
    # One at a time: what the user wrote between two operations stays, too.
    for operation in (o for entry in reversed(undone) for o in entry.operations):
        path = operation.path
        now = files[path] if path in files else tree.on_disk(root / path)
        files[path] = _put_back(path, operation.before, now, operation.after)
        if files[path] is now and operation.before != now:
            kept.add(path)
    operations = [
        Operation(path, before, after)
        for path, after in sorted(files.items())
        if (before := tree.on_disk(root / path)) != after
    ]
    plan = Plan(
        command="undo",
        root=root,
        operations=tuple(operations),
        details={"undone": [entry.command for entry in undone]},
        title=f"undo {count}",
        notes=tuple(f"kept: {path}, which you changed since" for path in sorted(kept)),
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
