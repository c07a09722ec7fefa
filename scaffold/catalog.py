"""Which templates there are: tasks, kinds of components, and their variants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scaffold import source
from scaffold.errors import UsageError, did_you_mean, quoted

if TYPE_CHECKING:
    from scaffold.template import Kind, Template


def task_names() -> list[str]:
    """Return the names of all tasks that `scaffold new` makes a project for."""
    return _subfolders(source.templates_folder() / "tasks")


def task(name: str) -> Template:
    """Return the template of a new project for task `name`.

    Raises:
        UsageError: there is no such task.
        TemplateError: its folder breaks the format's rules.
    """
    if name not in task_names():
        raise UsageError(
            f"there is no task {quoted(name)}: {did_you_mean(name, task_names())}"
        )
    from scaffold.template import load

    templates = source.templates_folder()
    return load(name, (templates / "project", templates / "tasks" / name))


def kind_names() -> list[str]:
    """Return the kinds of components that `scaffold add` can add."""
    return _subfolders(source.templates_folder() / "components")


def kind(name: str) -> Kind:
    """Return the kind of components called `name`.

    Raises:
        UsageError: there is no such kind.
        TemplateError: its folder breaks the format's rules.
    """
    if name not in kind_names():
        raise UsageError(
            f"there is no kind {quoted(name)}: {did_you_mean(name, kind_names())}"
        )
    from scaffold.template import load_kind

    folder = source.templates_folder() / "components" / name
    return load_kind(folder, _subfolders(folder))


def component(kind_name: str, variant: str) -> Template:
    """Return the template of a component.

    Raises:
        UsageError: there is no such kind or variant.
        TemplateError: its folder breaks the format's rules.
    """
    variants = kind(kind_name).variants
    if variant not in variants:
        raise UsageError(
            f"there is no {kind_name} {quoted(variant)}: {did_you_mean(variant, variants)}"
        )
    from scaffold.template import load

    return load(
        variant, (source.templates_folder() / "components" / kind_name / variant,)
    )


def _subfolders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith((".", "_"))
    )
