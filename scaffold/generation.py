"""All that the templates make of a project's record: B of yesterday, T of today.

Kept by owner (the project itself and each component), since what one component wires
into a file of another's must be told from that file's own content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scaffold import __version__, catalog, naming, toml_reader
from scaffold.errors import ScaffoldError
from scaffold.layers import WIRING
from scaffold.overrides import Components
from scaffold.quoting import Value
from scaffold.render import render
from scaffold.state import PROJECT_OWNER, Component, Lock, Record
from scaffold.template import Answers, Template, project_variables
from scaffold.tree import File, Tree
from scaffold.wiring import Edit, parse, wire


@dataclass(frozen=True)
class Generation:
    """The files of each owner, and how each is wired into the others, in order."""

    files: Mapping[str, Tree]
    wiring: Mapping[str, tuple[Mapping[str, Any], ...]]

    def owner_of(self, path: str) -> str | None:
        """Return who generated `path`."""
        return next((o for o, files in self.files.items() if path in files), None)

    def edits(self, owner: str) -> list[Edit]:
        """Return how `owner` is wired into other files."""
        return [parse(table) for table in self.wiring.get(owner, ())]

    def wired(self) -> Tree:
        """Return all files with all wiring, in the order in which it was recorded."""
        files: Tree = {}
        for owned in self.files.values():
            files |= owned
        return wire(files, self._all_edits())

    def _all_edits(self) -> Iterator[Edit]:
        for owner in self.files:
            yield from self.edits(owner)

    def locks(self) -> dict[str, Lock]:
        """Return the lock of each owner."""
        return {
            owner: Lock.of(files, self.wiring.get(owner, ()))
            for owner, files in self.files.items()
        }


def generate(record: Record, components: Components) -> Generation:
    """Render the project and all its components as the templates are now.

    Raises:
        UsageError: an answer in the record is not valid any more, or the template of a
            component is gone.
        UntrustedError: a component has a template of the project's own.
    """
    task = catalog.task(record.task)
    chosen = current_answers(task, record.answers, record.version)
    answers = task.answers(record.package, record.vendor, **chosen)
    files = {PROJECT_OWNER: render(task, answers)}
    tables: dict[str, tuple[Mapping[str, Any], ...]] = {}
    for component in record.components:
        owner = component.owner
        files[owner], tables[owner] = generate_component(
            record, component, components.template(component.kind, component.variant)
        )
        for path in files[owner]:
            others = (o for o in files if o != owner and path in files[o])
            for other in others:
                raise ScaffoldError(
                    f"{component.title} would write {path}, which {other} has: "
                    "choose another name."
                )
    return Generation(files, tables)


def current_answers(
    template: Template, recorded: Mapping[str, Value], version: str
) -> Answers:
    """Return the answers to today's questions, from those that `version` recorded.

    A question that an older generator asked may be gone; of this one's, none can be.
    """
    if version != __version__:
        recorded = {k: v for k, v in recorded.items() if k in template.questions}
    return template.check_answers(recorded)


def generate_component(
    record: Record, component: Component, template: Template
) -> tuple[Tree, tuple[Mapping[str, Any], ...]]:
    """Return the files of one component, and the tables of its wiring."""
    variables: dict[str, Value] = {
        **project_variables(record.task, record.package, record.vendor),
        **current_answers(template, component.answers, record.version),
        "kind": component.kind,
        "name": component.name,
        "class_name": naming.class_name(component.name),
    }
    files = render(template, variables)
    tables = files.pop(WIRING, File(b""))
    return files, tuple(toml_reader.loads(tables.content.decode()).get("wire", ()))
