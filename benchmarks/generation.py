"""`scaffold new classifier` against `copier copy` followed by `black`, same output.

The peer gets every advantage: its template is the finished project, so that its files
need no more than reading as templates; the vendored runtime is copied unrendered and
left alone by Black; nothing is recorded.
"""

import shutil
import sys
import tempfile
from itertools import count
from pathlib import Path

from benchmarks.measure import Finding, command_seconds, floors

ROUNDS = 7
PYTHON = sys.executable


def new(project: Path) -> float:
    """Seconds to make the classifier in the folder `project`."""
    return command_seconds(
        [PYTHON, "-m", "scaffold", "new", "classifier", project, "--defaults"]
    )


def copier_template(project: Path, template: Path) -> None:
    """Turn the generated `project` into a Copier template that renders to it."""
    shutil.copytree(project, template, ignore=shutil.ignore_patterns(".scaffold"))
    (template / "copier.yml").write_text("name:\n  type: str\n  default: digits\n")
    for path in sorted(template.rglob("*")):
        if not path.is_file() or path.name == "copier.yml" or "vendor" in path.parts:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        path.with_name(f"{path.name}.jinja").write_text(
            f"{{% raw %}}{text}{{% endraw %}}", encoding="utf-8"
        )
        path.unlink()


def copier_then_black(template: Path, project: Path) -> float:
    """Seconds of the peer's two commands."""
    copy = [PYTHON, "-m", "copier", "copy", "--defaults", str(template), str(project)]
    black = [PYTHON, "-m", "black", "--quiet", "--extend-exclude", "/vendor/"]
    return command_seconds(copy) + command_seconds([*black, str(project)])


def measure() -> list[Finding]:
    """Whole processes, each into a fresh folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        new(folder / "digits")
        copier_template(folder / "digits", folder / "template")
        numbers = count()
        seconds = floors(
            {
                "ours": lambda: new(folder / f"ours{next(numbers)}"),
                "peer": lambda: copier_then_black(
                    folder / "template", folder / f"peer{next(numbers)}"
                ),
            },
            ROUNDS,
        )
    return [
        Finding(
            "scaffold new classifier",
            seconds["ours"],
            "s",
            "copier copy, then black",
            seconds["peer"],
            0.7,
        )
    ]
