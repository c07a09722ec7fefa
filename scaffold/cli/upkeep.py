"""The commands that keep a project up to date, and put back what they did."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaffold import catalog
from scaffold.cli.output import Diff, DryRun, Json, Trust, print_json, print_table
from scaffold.cli.project import carry_out, locked_root, open_project, report

if TYPE_CHECKING:
    from scaffold.plan import Plan
    from scaffold.project import Project

# What `--exit-code` and `--check` answer with when there is something.
ASKED_ABOUT = 2
UPDATE = "An update is there: see `scaffold update --dry-run`."


class OnConflict(str, Enum):
    """What becomes of a file that both sides changed in one place."""

    markers = "markers"
    new = "new"
    ours = "ours"
    theirs = "theirs"
    abort = "abort"


def _kinds(incomplete: str) -> list[str]:
    return [name for name in catalog.kind_names() if name.startswith(incomplete)]


def _added(ctx: typer.Context, incomplete: str) -> list[str]:
    from scaffold import project, state
    from scaffold.errors import ScaffoldError

    try:  # read only: to open a project may finish what a killed command began
        record = project.find(Path.cwd()) / state.PROJECT_FILE
        components = state.parse_record(record.read_text(encoding="utf-8")).components
    except (ScaffoldError, OSError, UnicodeDecodeError):
        return []
    kind = ctx.params["kind"]
    names = [c.name.replace("_", "-") for c in components if c.kind == kind]
    return [name for name in names if name.startswith(incomplete)]


def remove(
    kind: Annotated[str, typer.Argument(metavar="KIND", autocompletion=_kinds)],
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=_added)],
    dry_run: DryRun = False,
    diff: Diff = False,
    as_json: Json = False,
) -> None:
    """Remove a component, and its wiring; what you edited stays."""
    from scaffold.remove import plan_remove

    def plan(project: Project) -> Plan:
        return plan_remove(project, kind, name)

    carry_out(plan, dry_run, diff, as_json)


def status(
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 2 if anything differs.")
    ] = False,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Show what differs from what was generated, and whether an update is there."""
    from scaffold.status import has_update, states

    project = open_project(trust)
    found = states(project)
    changed = [(state, name) for name, state in found.items() if state != "pristine"]
    update = has_update(project)
    if as_json:
        print_json({"files": found, "update": update})
    else:
        pristine = len(found) - len(changed)
        print(f"{project.record.task} project, {pristine} files as generated.")
        print_table(changed)
        if update:
            print(UPDATE)
        elif update is None:
            print("For updates of this project's own templates say --trust.")
    if exit_code and (changed or update):
        raise typer.Exit(ASKED_ABOUT)


def diff(
    path: Annotated[str | None, typer.Argument(metavar="PATH")] = None,
    incoming: Annotated[
        bool,
        typer.Option(
            "--incoming", help="Generated against what would be generated now."
        ),
    ] = False,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Show your changes of what was generated."""
    from scaffold.status import plan_diff

    project = open_project(trust)
    wanted = None
    if path is not None:
        absolute = (Path.cwd() / path).resolve()
        if not absolute.is_relative_to(project.root.resolve()):
            raise typer.BadParameter(f"{path!r} is outside the project.")
        wanted = absolute.relative_to(project.root.resolve()).as_posix()
        wanted = None if wanted == "." else wanted
    report(plan_diff(project, wanted, incoming), True, True, as_json)


def update(
    check: Annotated[
        bool, typer.Option("--check", help="Only exit with 2 if an update is there.")
    ] = False,
    only: Annotated[
        str | None, typer.Option(metavar="GLOB", help="Update only these paths.")
    ] = None,
    on_conflict: Annotated[
        OnConflict, typer.Option(help="What to do where you and the template differ.")
    ] = OnConflict.markers,
    trust: Trust = False,
    dry_run: DryRun = False,
    diff: Diff = False,
    as_json: Json = False,
) -> None:
    """Bring the project up to date; your edits are merged in, never overwritten."""
    from scaffold.update import plan_update

    def plan(project: Project) -> Plan:
        return plan_update(project, only, on_conflict.value)

    if check:
        found = bool(plan(open_project(trust)).operations)
        if as_json:
            print_json({"update": found})
        elif found:
            print(UPDATE)
        raise typer.Exit(ASKED_ABOUT if found else 0)
    carry_out(plan, dry_run, diff, as_json, trust)


def undo(
    count: Annotated[int, typer.Argument(metavar="N", help="How many.")] = 1,
    dry_run: DryRun = False,
    diff: Diff = False,
    as_json: Json = False,
) -> None:
    """Put back what the last operations changed."""
    from scaffold import journal
    from scaffold.undo import plan_undo

    preview = dry_run or diff
    with locked_root(preview) as root:
        plan, undone = plan_undo(root, count)
        if not preview:
            journal.apply(plan, undoes=undone)
    report(plan, preview, diff, as_json)


def history(as_json: Json = False) -> None:
    """List the operations that can be undone, the newest first."""
    from scaffold import journal

    with locked_root(preview=True) as root:
        entries = journal.entries(root)[::-1]
    if as_json:
        print_json(
            [{"command": e.command, "files": len(e.operations)} for e in entries]
        )
        return
    for number, entry in enumerate(entries, start=1):
        print(f"{number:3}  {entry.command}")
