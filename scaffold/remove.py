"""`scaffold remove`: plan the exact opposite of `add`, less what the user made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scaffold import wiring
from scaffold.add import STEP_LEFT
from scaffold.errors import ScaffoldError, UsageError, did_you_mean, quoted
from scaffold.generation import Generation
from scaffold.plan import Operation, Plan
from scaffold.project import Project
from scaffold.state import Component
from scaffold.tree import File, Tree, digest


def plan_remove(project: Project, kind: str, name: str) -> Plan:
    """Return the plan that takes a component out of `project`.

    Raises:
        UsageError: there is no such component.
        ScaffoldError: something else needs it.
    """
    component = _find(project, kind, name)
    owner = component.owner
    rest = Generation(
        {o: files for o, files in project.base.files.items() if o != owner},
        {o: tables for o, tables in project.base.wiring.items() if o != owner},
    )
    files = project.base.files[owner]
    unwired, notes = _unwire(project, owner, rest)
    _refuse_while_needed(project, component, files, unwired)
    operations = [
        Operation(path, before, after)
        for path, after in sorted({**unwired, **dict.fromkeys(files)}.items())
        if (before := project.on_disk(path)) != after
    ]
    edited = [
        o.path
        for o in operations
        if o.path in files and _is_edited(o.before, files[o.path])
    ]
    record = project.record.without_component(component)
    state = project.state_operations(record, rest, project.vendored)
    return Plan(
        command="remove",
        root=project.root,
        operations=(*(o for o in operations if o.path not in edited), *state),
        details={"component": component.title, "kept": edited},
        title=f"remove {component.title}",
        notes=(
            *(f"kept: {path}, which you edited: yours now" for path in edited),
            *notes,
        ),
        exit_code=STEP_LEFT if notes else 0,
    )


def _find(project: Project, kind: str, name: str) -> Component:
    component = project.record.component(kind, name.replace("-", "_"))
    if component is None:
        titles = [c.title for c in project.record.components]
        wanted = f"{kind} {name}"
        raise UsageError(
            f"this project has no {quoted(wanted)}: {did_you_mean(wanted, titles)}"
        )
    return component


def _is_edited(there: File | None, generated: File) -> bool:
    return there is not None and digest(there.content) != digest(generated.content)


def _unwire(
    project: Project, owner: str, rest: Generation
) -> tuple[dict[str, File | None], list[str]]:
    """Return the files without the owner's edits, and what is left for the user."""
    before, after = project.base.wired(), rest.wired()
    shared = [edit for other in rest.files for edit in rest.edits(other)]
    files: dict[str, File | None] = {}
    notes = []
    for edit in project.base.edits(owner):
        path = edit.file
        there = files.get(path, project.on_disk(path))
        if there is None:
            continue
        if path in after and digest(there.content) == digest(before[path].content):
            files[path] = File(after[path].content, there.mode)
            continue
        if edit in shared:
            continue
        try:
            files[path] = wiring.apply(edit, there, revert=True)
        except wiring.ShapeError:
            snippet, place = edit.snippet()
            notes.append(
                f"one step is left for you: remove this from {place}:\n{snippet}"
            )
    return files, notes


def _refuse_while_needed(
    project: Project,
    component: Component,
    files: Tree,
    unwired: dict[str, File | None],
) -> None:
    modules = [
        path.removesuffix(".py").replace("/", ".")
        for path in files
        if path.startswith(f"{project.record.package}/") and path.endswith(".py")
    ]
    if not modules:
        return
    pattern = re.compile(
        rb"\b(%s)\b" % b"|".join(re.escape(m.encode()) for m in modules)
    )
    for path, content in _sources(project):
        changed = unwired.get(path)
        if path not in files and pattern.search(
            changed.content if changed else content
        ):
            raise ScaffoldError(
                f"{path} needs {component.title}: change it first, then remove this."
            )


def _sources(project: Project) -> Iterator[tuple[str, bytes]]:
    """Yield the Python files and configs in the folders of the project's own code.

    What a run leaves behind (its config has every class path) is in other folders.
    """
    for top in sorted({path.split("/")[0] for path in project.base.wired()}):
        folder = project.root / top
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
            if path.suffix in (".py", ".yaml") and path.is_file():
                yield path.relative_to(project.root).as_posix(), path.read_bytes()
