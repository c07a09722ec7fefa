"""The command line. Commands import what they need when they run: help starts fast."""

from __future__ import annotations

import gc
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from scaffold import __version__
from scaffold.cli.add import KindGroup
from scaffold.cli.catalog import list_templates, show
from scaffold.cli.new import TaskGroup
from scaffold.cli.upkeep import diff, history, remove, status, undo, update
from scaffold.errors import ScaffoldError

_ORDER = "new add remove status diff update undo history list show".split()


class _Commands(TyperGroup):
    """The commands in the order of a project's life."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(self.commands, key=_ORDER.index)


app = typer.Typer(
    name="scaffold",
    cls=_Commands,
    help="Make PyTorch projects that train at once, and keep them up to date.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(
    typer.Typer(rich_markup_mode=None),
    name="new",
    cls=TaskGroup,
    help="Make a new project.",
    no_args_is_help=True,
    subcommand_metavar="TASK [DEST] [OPTIONS]...",
)
app.add_typer(
    typer.Typer(rich_markup_mode=None),
    name="add",
    cls=KindGroup,
    help="Add a component to the project around you, and wire it in.",
    no_args_is_help=True,
    subcommand_metavar="KIND [NAME] [OPTIONS]...",
)
app.command("list")(list_templates)
for _command in (show, remove, status, diff, update, undo, history):
    app.command()(_command)


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    # A command lives for a second: looking for garbage, at its end too, is a tenth of it.
    gc.disable()
    code = _run()
    gc.freeze()
    sys.exit(code)


def _run() -> int:
    try:
        code: int | None = app(standalone_mode=False)
    except typer.TyperException as error:
        return _report_usage(error)
    except ScaffoldError as error:
        return _report(str(error), error.exit_code)
    except (typer.Abort, KeyboardInterrupt, EOFError):
        return _report("interrupted: nothing was changed.", 130)
    return code or 0


def _report_usage(error: typer.TyperException) -> int:
    message = error.format_message()
    if message.startswith("Usage:"):
        # What a group without a command answers is its whole help.
        print(message, file=sys.stderr)
        return error.exit_code
    return _report(message, error.exit_code)


def _report(message: str, code: int) -> int:
    print(f"scaffold: {' '.join(message.split())}", file=sys.stderr)
    return code


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"torch-scaffold {__version__}")
        raise typer.Exit


@app.callback()
def _scaffold(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    pass
