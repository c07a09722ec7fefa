"""Commands of a project as functions, on the project around the current folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from scaffold import catalog, journal, tree
from scaffold.add import choose, plan_add
from scaffold.plan import Plan
from scaffold.project import Project, find
from scaffold.remove import plan_remove
from scaffold.undo import plan_undo
from scaffold.update import OnConflict, plan_update


def opened() -> Project:
    return Project.open(find(Path.cwd()))


def carried_out(plan: Plan) -> Plan:
    with journal.exclusive(plan.root):
        if plan.operations:
            journal.apply(plan)
    return plan


def add(
    kind: str, name: str | None = None, variant: str | None = None, **chosen: object
) -> Plan:
    found = catalog.kind(kind)
    project = opened()
    template = choose(project.components, found, name, variant)
    return carried_out(plan_add(project, found, name, template, chosen))


def remove(kind: str, name: str) -> Plan:
    return carried_out(plan_remove(opened(), kind, name))


def update(only: str | None = None, on_conflict: OnConflict = "markers") -> Plan:
    return carried_out(plan_update(opened(), only, on_conflict))


def undo(count: int = 1) -> Plan:
    root = find(Path.cwd())
    plan, undone = plan_undo(root, count)
    journal.apply(plan, undoes=undone)
    return plan


def snapshot(project: Path) -> dict[str, bytes]:
    """All files of a project but its undo store."""
    return {
        path: file.content
        for path, file in tree.read(project).items()
        if not path.startswith(".scaffold/undo/")
    }


def config(project: Path) -> Any:
    return yaml.safe_load((project / "configs" / "default.yaml").read_text())
