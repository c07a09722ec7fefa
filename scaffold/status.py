"""`scaffold status` and `scaffold diff`: what the user made of what was generated."""

from __future__ import annotations

from typing import Literal

from scaffold import wiring
from scaffold.errors import UntrustedError
from scaffold.generation import generate
from scaffold.plan import Operation, Plan
from scaffold.project import Project
from scaffold.tree import digest
from scaffold.update import plan_update

State = Literal["pristine", "edited", "missing", "detached", "unwired"]


def states(project: Project) -> dict[str, State]:
    """Return how each generated file is; a component can be "unwired".

    Line endings do not count: a CRLF checkout is pristine.
    """
    found: dict[str, State] = {}
    for path, file in sorted(project.base.wired().items()):
        there = project.on_disk(path)
        found[path] = _state(there.content if there else None, digest(file.content))
    vendored = project.vendored.files if project.vendored else {}
    for path, (sha256, _) in vendored.items():
        there = project.on_disk(path)
        found[path] = _state(there.content if there else None, sha256)
    for path in project.record.detached:
        if project.on_disk(path) is not None:
            found[path] = "detached"
    for component in project.record.components:
        if not all(_is_wired(project, e) for e in project.base.edits(component.owner)):
            found[component.title] = "unwired"
    return found


def _state(content: bytes | None, sha256: str) -> State:
    if content is None:
        return "missing"
    return "pristine" if digest(content) == sha256 else "edited"


def _is_wired(project: Project, edit: wiring.Edit) -> bool:
    there = project.on_disk(edit.file)
    return there is not None and wiring.is_there(edit, there)


def has_update(project: Project) -> bool | None:
    """Tell whether `scaffold update` would change anything.

    None where that cannot be told without trusting a template of the project's own.
    """
    try:
        return bool(plan_update(project, on_conflict="theirs").operations)
    except UntrustedError:
        return None


def plan_diff(project: Project, path: str | None, incoming: bool) -> Plan:
    """Return, as a plan to print, yours against generated, or generated against newest.

    Args:
        project: where.
        path: of one file, or of a folder; None for all.
        incoming: compare what was generated with what the templates say today.
    """
    base = project.base.wired()
    other = generate(project.record, project.components).wired() if incoming else None
    operations = []
    for name in sorted({*base, *(other or {})}):
        before = base.get(name)
        after = other.get(name) if other is not None else project.on_disk(name)
        if before != after and _is_within(name, path):
            operations.append(Operation(name, before, after))
    return Plan("diff", project.root, tuple(operations))


def _is_within(name: str, path: str | None) -> bool:
    return path is None or name == path or name.startswith(f"{path.rstrip('/')}/")
