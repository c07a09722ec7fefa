from pathlib import Path

import pytest

from scaffold.plan import Operation, Plan
from scaffold.tree import File


@pytest.fixture
def plan() -> Plan:
    return Plan(
        command="update",
        root=Path("p"),
        operations=(
            Operation(".scaffold/project.toml", None, File(b"x = 1\n")),
            Operation(".scaffold/lock/project.json", None, File(b"{}\n")),
            Operation("a.py", None, File(b"a = 1\nb = 2")),
            Operation("b.py", File(b"b = 1\n"), File(b"b = 2\n")),
            Operation("c.bin", File(b"\0"), File(b"\0\1")),
            Operation("d.sh", File(b"#!/bin/sh\n", 0o755), None),
        ),
        next=("ls",),
    )


def test_lines_fold_the_machinery(plan: Plan) -> None:
    assert list(plan.lines()) == [
        "create  a.py",
        "modify  b.py",
        "modify  c.bin",
        "delete  d.sh",
        "create  .scaffold/ (2 files)",
    ]
    assert plan.summary() == "4 files"


def test_diff_is_a_unified_diff_of_what_a_person_reads(plan: Plan) -> None:
    assert list(plan.diff()) == [
        "--- /dev/null",
        "+++ b/a.py",
        "@@ -0,0 +1,2 @@",
        "+a = 1",
        "+b = 2",
        "--- a/b.py",
        "+++ b/b.py",
        "@@ -1 +1 @@",
        "-b = 1",
        "+b = 2",
        "Binary files a/c.bin and b/c.bin differ",
        "--- a/d.sh",
        "+++ /dev/null",
        "@@ -1 +0,0 @@",
        "-#!/bin/sh",
    ]


def test_json_has_every_operation(plan: Plan) -> None:
    shown = plan.as_json(dry_run=True)
    assert [operation["path"] for operation in shown["operations"]] == [
        operation.path for operation in plan.operations
    ]
    assert shown["operations"][3] == {
        "action": "modify",
        "path": "b.py",
        "bytes": 6,
        "mode": "0644",
    }
    assert shown["dry_run"] is True
