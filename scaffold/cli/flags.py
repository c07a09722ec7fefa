"""Questions as command-line options, without a line of Python for any of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from scaffold.question import Question
    from scaffold.quoting import Value
    from scaffold.template import Template

# An option that is not given is None, a repeated one an empty list.
FlagValue = str | bool | list[str] | None


def command(
    name: str,
    help: str,
    function: Callable[..., None],
    questions: Iterable[tuple[Question, str]] = (),
) -> Any:
    """Return a command that calls `function` with its own parameters and the questions'.

    Args:
        name: the word of the command line.
        help: what the command does.
        function: takes the questions' flags as keyword arguments.
        questions: each becomes an option, with a line of help.
    """
    signature = inspect.signature(function, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    flags = [_option(question, summary) for question, summary in questions]

    def run(**values: Any) -> None:
        function(**values)

    run.__signature__ = inspect.Signature([*own, *flags])  # type: ignore[attr-defined]
    single = typer.Typer(rich_markup_mode=None, add_completion=False)
    single.command(
        name, help=help, context_settings={"help_option_names": ["-h", "--help"]}
    )(run)
    return typer.main.get_command(single)


def _option(question: Question, summary: str) -> inspect.Parameter:
    def choices(incomplete: str) -> list[str]:
        return [c for c in map(str, question.choices) if c.startswith(incomplete)]

    spelling = question.flag
    annotation: Any = str | None
    if question.type is bool:
        spelling, annotation = f"{question.flag}/--no-{question.flag[2:]}", bool | None
    elif question.type is list:
        annotation = list[str] | None
    option = typer.Option(
        spelling,
        help=summary,
        metavar=None if question.type is bool else question.metavar,
        autocompletion=choices if question.choices else None,
        show_default=False,
    )
    return inspect.Parameter(
        question.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[annotation, option],
    )


def given(template: Template, values: Mapping[str, FlagValue]) -> dict[str, Value]:
    """Return the answers of the flags that were given.

    Raises:
        UsageError: the template does not ask that, or it is no valid answer.
    """
    return {
        name: (
            template.question(name).parse(value)
            if isinstance(value, str)
            else template.question(name).check(value)
        )
        for name, value in values.items()
        if value is not None and value != []
    }
