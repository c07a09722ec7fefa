import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import scaffold
from scaffold import fault

PROGRAM = """
from scaffold.fault import crash_point
for number in range(3):
    crash_point("a")
    print(number, flush=True)
"""


def run(wanted: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "SCAFFOLD_FAULT": wanted},
        capture_output=True,
        text=True,
    )


def test_the_process_dies_at_the_wanted_pass() -> None:
    killed = run("a:2")
    assert killed.returncode == -signal.SIGKILL
    assert killed.stdout == "0\n"


def test_other_points_do_nothing() -> None:
    assert run("b:1").returncode == 0


def test_points_lists_exactly_the_points_in_the_source() -> None:
    source = "".join(p.read_text() for p in Path(scaffold.__path__[0]).rglob("*.py"))
    assert sorted(re.findall(r'crash_point\("([\w.]+)"\)', source)) == sorted(
        fault.POINTS
    )
