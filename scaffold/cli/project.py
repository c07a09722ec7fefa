"""What the commands in a project share: finding it, locking it, printing the outcome."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from scaffold.cli.output import print_json, print_preview

if TYPE_CHECKING:
    from scaffold.plan import Plan
    from scaffold.project import Project


def open_project(trust: bool = False) -> Project:
    """Return the project around the current folder."""
    from scaffold.project import Project

    with locked_root(preview=True) as root:
        return Project.open(root, trust)


@contextmanager
def locked_root(preview: bool) -> Iterator[Path]:
    """Yield the project's folder, after what a killed command may have left in it.

    Args:
        preview: the caller only looks; otherwise no other command changes the project
            meanwhile.
    """
    from scaffold import journal, project

    root = project.find(Path.cwd())
    if preview and not journal.is_pending(root):
        yield root
        return
    with journal.exclusive(root):
        done = journal.recover(root)
        if done is not None:
            print(f"scaffold: {done}", file=sys.stderr)
        yield root


def carry_out(
    make_plan: Callable[[Project], Plan],
    dry_run: bool,
    diff: bool,
    as_json: bool,
    trust: bool = False,
) -> None:
    """Make a plan for the project around the current folder, and do what was asked."""
    from scaffold import journal
    from scaffold.project import Project

    preview = dry_run or diff
    with locked_root(preview) as root:
        plan = make_plan(Project.open(root, trust))
        if plan.operations and not preview:
            journal.apply(plan)
    report(plan, preview, diff, as_json)


def report(plan: Plan, preview: bool, diff: bool, as_json: bool) -> None:
    """Print what happened, or would, and end with the plan's exit code."""
    if as_json:
        print_json(plan.as_json(dry_run=preview))
    elif preview:
        print_preview(plan, diff)
    else:
        for line in plan.own_lines():
            print(line)
    if not as_json:
        for note in plan.notes:
            print(note)
        if plan.next and not preview:
            print("Next:", *plan.next, sep="\n  ")
    raise typer.Exit(plan.exit_code)
