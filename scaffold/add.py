"""`scaffold add`: plan a component's files, and the edits that wire it in."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping

from scaffold import naming, wiring
from scaffold.errors import UsageError
from scaffold.generation import Generation, generate_component
from scaffold.overrides import Components
from scaffold.plan import Operation, Plan
from scaffold.project import Project
from scaffold.state import Component
from scaffold.template import Kind, Template
from scaffold.tree import File, Tree

STEP_LEFT = 3


def choose(
    components: Components, kind: Kind, name: str | None, variant: str | None
) -> Template:
    """Return the template that the words of a command line mean.

    A name that is a variant's, with dashes or underscores, takes that variant; otherwise
    the kind has a default.

    Raises:
        UsageError: there is no such variant.
        UntrustedError: it is the project's own, and not trusted.
    """
    if variant is None:
        word = (name or "").replace("_", "-")
        variant = word if word in components.variants(kind.name) else kind.default
    return components.template(kind.name, variant)


def plan_add(
    project: Project,
    kind: Kind,
    name: str | None,
    template: Template,
    chosen: Mapping[str, object],
) -> Plan:
    """Return the plan that puts a component into `project`.

    Args:
        project: where to.
        kind: of the component.
        name: of the component; the variant's if None.
        template: the variant.
        chosen: answers to its questions.

    Raises:
        UsageError: a name or answer cannot be, another component or a file of the
            user's has the name, or the project is for another task.
    """
    task = project.record.task
    if template.tasks and task not in template.tasks:
        raise UsageError(
            f"{kind.name} {template.name} is for {' and '.join(template.tasks)} "
            f"projects, and this is a {task} project."
        )
    identifier = (name or template.name).replace("-", "_")
    naming.check_identifier(identifier, f"name of a {kind.name}")
    answers = template.check_answers(chosen)
    component = Component(kind.name, identifier, template.name, answers)
    known = project.record.component(kind.name, identifier)
    if known is None:
        return _plan(project, component, template)
    if known != component:
        raise UsageError(
            f"{component.title} is there already, made with other answers: "
            f"say `scaffold remove {component.title}` first."
        )
    note = f"{component.title} is there already: nothing was changed."
    return Plan("add", project.root, (), notes=(note,))


def _plan(project: Project, component: Component, template: Template) -> Plan:
    files, tables = generate_component(project.record, component, template)
    _refuse_clashes(project, component, files)
    wired, notes = wire_on_disk(project, [wiring.parse(table) for table in tables])
    generation = Generation(
        {**project.base.files, component.owner: files},
        {**project.base.wiring, component.owner: tables},
    )
    created = [
        Operation(path, before, after)
        for path, after in files.items()
        if (before := project.on_disk(path)) != after
    ]
    record = project.record.with_component(component)
    state = project.state_operations(record, generation, project.vendored)
    return Plan(
        command="add",
        root=project.root,
        operations=(*sorted([*created, *wired], key=lambda o: o.path), *state),
        details={"component": component.title},
        title=f"add {component.title}",
        notes=tuple(notes),
        next=_next(project, wired),
        exit_code=STEP_LEFT if notes else 0,
    )


def _next(project: Project, wired: Iterable[Operation]) -> tuple[str, ...]:
    """Return the command that installs what the component needs, if it needs something."""
    if all(operation.path != "pyproject.toml" for operation in wired):
        return ()
    path = os.path.relpath(project.root / "requirements.txt")
    return (f"pip install -r {shlex.quote(path)}",)


def wire_on_disk(
    project: Project, edits: Iterable[wiring.Edit]
) -> tuple[list[Operation], list[str]]:
    """Return the operations that apply `edits` to the user's files.

    Returns:
        The operations, and for each edit whose place is gone what to write by hand.

    Raises:
        ScaffoldError: one of the files is broken.
    """
    files: dict[str, File | None] = {}
    notes = []
    for edit in edits:
        current = files.get(edit.file, project.on_disk(edit.file))
        try:
            if current is None:
                raise wiring.ShapeError(edit.file)
            files[edit.file] = wiring.apply(edit, current)
        except wiring.ShapeError:
            snippet, place = edit.snippet()
            notes.append(f"one step is left for you: add this to {place}:\n{snippet}")
    operations = [
        Operation(path, before, after)
        for path, after in files.items()
        if (before := project.on_disk(path)) != after
    ]
    return operations, notes


def _refuse_clashes(project: Project, component: Component, files: Tree) -> None:
    for path, file in files.items():
        owner = project.base.owner_of(path)
        there = project.on_disk(path)
        if owner is not None or (there is not None and there.content != file.content):
            raise UsageError(
                f"{component.title} needs {path}, which is there already: "
                "choose another name."
            )
