"""`scaffold --help` starts like a bare Typer app of as many commands."""

import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Finding, command_seconds, floors

ROUNDS = 15
HELP = ["--help"]


def bare_app(commands: int) -> str:
    """The source of a Typer app whose commands do nothing."""
    lines = ["import typer", "", "app = typer.Typer()"]
    for number in range(commands):
        lines += ["", "@app.command()", f"def command_{number}(name: str) -> None:"]
        lines += [f'    """Say nothing, for the {number}th time."""']
    return "\n".join(lines)


def count_commands() -> int:
    """How many commands `scaffold` has."""
    import typer.main

    from scaffold.cli import app

    return len(getattr(typer.main.get_command(app), "commands", {}))


def measure() -> list[Finding]:
    """Whole processes that print a help text and end."""
    python = sys.executable
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "bare.py").write_text(bare_app(count_commands()))
        ours = [python, "-c", "from scaffold.cli import main; main()", *HELP]
        bare = [python, "-c", "from bare import app; app()", *HELP]
        copier = [python, "-m", "copier", *HELP]
        seconds = floors(
            {
                "ours": lambda: command_seconds(ours),
                "bare": lambda: command_seconds(bare, PYTHONPATH=folder),
                "copier": lambda: command_seconds(copier),
            },
            ROUNDS,
        )
    against = "a bare Typer app of as many commands"
    return [
        Finding(
            "scaffold --help", seconds["ours"], "s", against, seconds["bare"], 1.15
        ),
        Finding("copier --help", seconds["copier"], "s", against, seconds["bare"]),
    ]
