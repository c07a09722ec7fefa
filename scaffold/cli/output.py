"""Printing: tables for people, JSON for programs, and a plan for both."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from scaffold.plan import Plan

Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Write nothing; list what would be done.")
]
Diff = Annotated[
    bool, typer.Option("--diff", help="Write nothing; show what would change.")
]
Trust = Annotated[
    bool,
    typer.Option("--trust", help="Render templates of the project's own, too."),
]
Settings = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="An answer; may be repeated."),
]


def print_table(rows: Iterable[tuple[str, str]]) -> None:
    """Print two aligned columns, indented."""
    rows = list(rows)
    width = max((len(left) for left, _ in rows), default=0)
    for left, right in rows:
        print(f"  {left:{width}}  {right}".rstrip())


def print_json(value: Any) -> None:
    """Print `value` as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_preview(plan: Plan, diff: bool) -> None:
    """Print what `plan` would do: as a diff, or as a line for each file."""
    for line in plan.diff() if diff else plan.lines():
        print(line)
