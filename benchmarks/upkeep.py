"""`scaffold add` against `copier copy` of one file, and `update` against `new`."""

import shutil
import sys
import tempfile
from itertools import count
from pathlib import Path

from benchmarks.generation import new
from benchmarks.measure import Finding, command_seconds, floors

ROUNDS = 7
SCAFFOLD = [sys.executable, "-m", "scaffold"]
COPIER = [sys.executable, "-m", "copier", "copy", "--defaults"]


def measure() -> list[Finding]:
    """Whole processes, each in a project as `new` made it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made, template = folder / "digits", folder / "template"
        new(made)
        template.mkdir()
        (template / "copier.yml").write_text("name:\n  type: str\n  default: digits\n")
        (template / "callback.py.jinja").write_text("NAME = '{{ name }}'\n")
        numbers = count()

        def add() -> float:
            project = shutil.copytree(made, folder / f"added{next(numbers)}")
            return command_seconds([*SCAFFOLD, "add", "callback"], project)

        def copy() -> float:
            target = folder / f"copied{next(numbers)}"
            return command_seconds([*COPIER, str(template), str(target)])

        floor = floors(
            {
                "add": add,
                "copy": copy,
                "update": lambda: command_seconds([*SCAFFOLD, "update"], made),
                "new": lambda: new(folder / f"new{next(numbers)}"),
            },
            ROUNDS,
        )
    one_file = "copier copy of one file"
    unchanged = "scaffold update, nothing changed"
    return [
        Finding(
            "scaffold add callback", floor["add"], "s", one_file, floor["copy"], 1.3
        ),
        Finding(unchanged, floor["update"], "s", "scaffold new", floor["new"], 1.2),
    ]
