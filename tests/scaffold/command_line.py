"""Running command lines on the fixture templates, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HOUSE = Path(__file__).parent / "house"

_PROGRAM = """\
import sys
from pathlib import Path
from scaffold import catalog, source
source.ROOT = Path(sys.argv.pop(1))
from scaffold.cli import main
main()
"""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Run = Callable[..., Result]


def start(
    *words: str, cwd: Path, env: dict[str, str] | None = None, house: Path = HOUSE
) -> subprocess.Popen[str]:
    """Start a command line as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(house), *words],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def files_under(folder: Path) -> list[str]:
    """All paths under `folder`, hidden ones too."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))
