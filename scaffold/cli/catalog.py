"""`scaffold list` and `scaffold show`: what can be made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from scaffold import catalog
from scaffold.cli.output import Json, print_json, print_table
from scaffold.errors import UsageError, did_you_mean, quoted

if TYPE_CHECKING:
    from scaffold.template import Kind, Template


def list_templates(as_json: Json = False) -> None:
    """List the tasks and components that there are."""
    tasks = [catalog.task(name) for name in catalog.task_names()]
    kinds = [catalog.kind(name) for name in catalog.kind_names()]
    if as_json:
        print_json(
            {
                "tasks": [task.as_json() for task in tasks],
                "kinds": [
                    {
                        "name": kind.name,
                        "description": kind.description,
                        "default": kind.default,
                        "variants": [variant.as_json() for variant in _variants(kind)],
                    }
                    for kind in kinds
                ],
            }
        )
        return
    print("Tasks (scaffold new TASK):")
    print_table((task.name, task.description) for task in tasks)
    for kind in kinds:
        print(f"\n{kind.description} (scaffold add {kind.name}):")
        print_table((variant.name, variant.description) for variant in _variants(kind))


def _variants(kind: Kind) -> list[Template]:
    return [catalog.component(kind.name, variant) for variant in kind.variants]


def _names(incomplete: str) -> list[str]:
    return [name for name in _all_names() if name.startswith(incomplete)]


def _all_names() -> list[str]:
    variants = [
        f"{kind}/{variant}"
        for kind in catalog.kind_names()
        for variant in catalog.kind(kind).variants
    ]
    return catalog.task_names() + variants


def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A task, or KIND/VARIANT.", autocompletion=_names
        ),
    ],
    as_json: Json = False,
) -> None:
    """Show a task or component: its questions, their defaults and its files."""
    from scaffold import layers

    template = _find(name)
    files = layers.sources(template)
    if as_json:
        print_json({**template.as_json(), "files": sorted(files)})
        return
    print(f"{name}: {template.description}")
    if template.questions:
        print("\nQuestions:")
        print_table((q.flag, q.summary()) for q in template.questions.values())
    if files:
        print("\nFiles:")
        conditions = layers.conditions(template)
        print_table(
            (path, f"only if {conditions[path]}" if path in conditions else "")
            for path in sorted(files)
        )


def _find(name: str) -> Template:
    if name in catalog.task_names():
        return catalog.task(name)
    if name in _all_names():
        kind, _, variant = name.partition("/")
        return catalog.component(kind, variant)
    raise UsageError(
        f"there is no task or component {quoted(name)}: "
        f"{did_you_mean(name, _all_names())}"
    )
