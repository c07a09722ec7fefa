"""`scaffold list` and `scaffold show`: what can be made."""

from __future__ import annotations

from typing import Annotated

import typer

from scaffold import catalog
from scaffold.cli.output import Json, print_json, print_table


def list_templates(as_json: Json = False) -> None:
    """List the tasks that there are."""
    tasks = [catalog.task(name) for name in catalog.task_names()]
    if as_json:
        print_json({"tasks": [task.as_json() for task in tasks]})
        return
    print("Tasks (scaffold new TASK):")
    print_table((task.name, task.description) for task in tasks)


def _task_names(incomplete: str) -> list[str]:
    return [name for name in catalog.task_names() if name.startswith(incomplete)]


def show(
    name: Annotated[str, typer.Argument(metavar="TASK", autocompletion=_task_names)],
    as_json: Json = False,
) -> None:
    """Show a task: its questions, their defaults and its files."""
    from scaffold import layers

    template = catalog.task(name)
    files = layers.sources(template)
    if as_json:
        print_json({**template.as_json(), "files": sorted(files)})
        return
    print(f"{template.name}: {template.description}\n\nQuestions:")
    print_table((q.flag, q.summary()) for q in template.questions.values())
    print("\nFiles:")
    conditions = layers.conditions(template)
    print_table(
        (path, f"only if {conditions[path]}" if path in conditions else "")
        for path in sorted(files)
    )
