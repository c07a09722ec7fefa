"""`scaffold add KIND`: each folder in templates/components/ is a command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from scaffold import catalog
from scaffold.cli.flags import FlagValue, command, given
from scaffold.cli.output import Diff, DryRun, Json, Settings, Trust

if TYPE_CHECKING:
    from scaffold.plan import Plan
    from scaffold.project import Project
    from scaffold.question import Question
    from scaffold.template import Kind


class KindGroup(TyperGroup):
    """One command for each kind of component; a new folder is a new command."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the kinds."""
        return catalog.kind_names()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command that adds a component of the kind `cmd_name`."""
        if ctx.resilient_parsing and cmd_name not in catalog.kind_names():
            return None
        return _command(catalog.kind(cmd_name))


def _command(kind: Kind) -> Any:
    def variants(incomplete: str) -> list[str]:
        return [name for name in kind.variants if name.startswith(incomplete)]

    name_argument = typer.Argument(
        None,
        metavar="NAME",
        help=f"Its name; a variant's takes that: {', '.join(kind.variants)}.",
        autocompletion=variants,
        show_default=False,
    )
    from_option = typer.Option(
        None, "--from", metavar="VARIANT", help="The variant.", autocompletion=variants
    )

    def add(
        name: str | None = name_argument,
        variant: str | None = from_option,
        settings: Settings = [],  # noqa: B006  # Typer reads the default, nobody writes
        trust: Trust = False,
        dry_run: DryRun = False,
        diff: Diff = False,
        as_json: Json = False,
        **flags: FlagValue,
    ) -> None:
        from scaffold.add import choose, plan_add
        from scaffold.cli.project import carry_out
        from scaffold.interview import parse_sets

        def plan(project: Project) -> Plan:
            template = choose(project.components, kind, name, variant)
            chosen = parse_sets(template, settings) | given(template, flags)
            planned = plan_add(project, kind, name, template, chosen)
            if variant is None and not as_json and len(kind.variants) > 1:
                for line in _about_variants(kind, name):
                    print(line)
            return planned

        carry_out(plan, dry_run, diff, as_json, trust)

    return command(kind.name, f"{kind.description}.", add, _questions(kind))


def _about_variants(kind: Kind, name: str | None) -> Iterator[str]:
    """Yield what to say of the variants to who names none, or nearly one."""
    from difflib import get_close_matches

    if name is None:
        yield f"variants: {', '.join(kind.variants)}"
        return
    word = name.replace("_", "-")
    for near in get_close_matches(word, kind.variants, n=1, cutoff=0.8):
        if near != word:
            yield f"{name} is a {kind.name} of your own; a variant is called {near}."


def _questions(kind: Kind) -> Iterator[tuple[Question, str]]:
    """Yield the questions of all variants, each name once, and who has which default."""
    asked: dict[str, dict[str, Question]] = {}
    for variant in kind.variants:
        for question in catalog.component(kind.name, variant).questions.values():
            asked.setdefault(question.name, {})[variant] = question
    for askers in asked.values():
        question = next(iter(askers.values()))
        defaults = [f"{name}: {q.show(q.default)}" for name, q in askers.items()]
        several = f"{question.help} [{', '.join(defaults)}]"
        yield question, several if len(kind.variants) > 1 else question.summary()
