"""`scaffold new TASK`: each folder in templates/tasks/ is a command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from scaffold import catalog
from scaffold.cli.flags import FlagValue, command, given
from scaffold.cli.output import Diff, DryRun, Json, Settings, print_json, print_preview

if TYPE_CHECKING:
    from scaffold.quoting import Value
    from scaffold.template import Template


class TaskGroup(TyperGroup):
    """One command for each task; a new folder is a new command."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the tasks."""
        return catalog.task_names()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command that makes a project for the task `cmd_name`."""
        if ctx.resilient_parsing and cmd_name not in catalog.task_names():
            return None
        template = catalog.task(cmd_name)
        return _command(template)


def _command(template: Template) -> Any:
    def new(
        dest: Annotated[
            str, typer.Argument(metavar="DEST", help="The project's folder.")
        ] = template.name,
        name: Annotated[
            str | None,
            typer.Option(metavar="PKG", help="The package, if not named as DEST."),
        ] = None,
        settings: Settings = [],  # noqa: B006  # Typer reads the default, nobody writes
        answers: Annotated[
            str | None, typer.Option(metavar="FILE", help="Answers, in a YAML file.")
        ] = None,
        defaults: Annotated[
            bool, typer.Option("--defaults", help="Ask nothing.")
        ] = False,
        dry_run: DryRun = False,
        diff: Diff = False,
        bare: Annotated[
            bool,
            typer.Option(
                "--no-vendor-runtime",
                help="Depend on the runtime; do not carry its source in vendor/.",
            ),
        ] = False,
        as_json: Json = False,
        **flags: FlagValue,
    ) -> None:
        from scaffold.new import apply_new, check_destination, package_for, plan_new

        destination = Path(dest)
        check_destination(destination)
        package = package_for(destination, name)
        chosen = _answers(template, flags, settings, answers, defaults or as_json)
        plan = plan_new(template, destination, package, chosen, vendored=not bare)
        preview = dry_run or diff
        if not preview:
            apply_new(plan)
        if as_json:
            print_json(plan.as_json(dry_run=preview))
        elif preview:
            print_preview(plan, diff)
        else:
            print(f"Made {dest}: {plan.summary()}. Next:")
            for line in plan.next:
                print(f"  {line}")

    questions = [(q, q.summary()) for q in template.questions.values()]
    return command(template.name, f"{template.description}.", new, questions)


def _answers(
    template: Template,
    flags: dict[str, FlagValue],
    settings: list[str],
    answers_file: str | None,
    quiet: bool,
) -> dict[str, Value]:
    """Return the answers that were given: a flag wins over --set, that over the file."""
    from scaffold import interview

    chosen: dict[str, Value] = {}
    if answers_file is not None:
        chosen |= interview.read_answers_file(template, Path(answers_file))
    chosen |= interview.parse_sets(template, settings)
    chosen |= given(template, flags)
    if not quiet and interview.may_prompt():
        chosen = interview.ask_the_rest(template, chosen)
    return chosen
