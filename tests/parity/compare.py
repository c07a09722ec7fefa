"""Both frameworks' records of a scenario, and their first difference in words."""

import difflib
import tempfile
from dataclasses import fields
from pathlib import Path

from tests.parity.twin import Record, Scenario, run


def records(scenario: Scenario) -> tuple[Record, Record]:
    """Lightning's record and ours, each made in a folder of its own."""
    with tempfile.TemporaryDirectory() as theirs, tempfile.TemporaryDirectory() as ours:
        return (
            run("lightning", scenario, Path(theirs)),
            run("ours", scenario, Path(ours)),
        )


def differences(theirs: Record, ours: Record, leave_out: tuple[str, ...] = ()) -> str:
    """A short diff of every part of the records that is not equal; empty if all are.

    A run that both refused is equal whatever it did until then.
    """
    if theirs.error and theirs.error == ours.error:
        return ""
    found = []
    for part in fields(Record):
        left, right = getattr(theirs, part.name), getattr(ours, part.name)
        if left != right and part.name not in (*leave_out, "message"):
            lines = difflib.unified_diff(_lines(left), _lines(right), lineterm="", n=1)
            found.append("\n".join([part.name, *list(lines)[2:12]]))
    if theirs.error != ours.error:
        found.append(f"Lightning said: {theirs.message}\nours said: {ours.message}")
    return "\n".join(found)


def _lines(part: object) -> list[str]:
    if isinstance(part, dict):
        return [f"{key}: {value}" for key, value in part.items()]
    return [str(line) for line in part] if isinstance(part, list) else [str(part)]


def assert_equal(scenario: Scenario, leave_out: tuple[str, ...] = ()) -> Record:
    """Fail with the differences; give back our record, to look further."""
    theirs, ours = records(scenario)
    assert not (found := differences(theirs, ours, leave_out)), f"\n{found}"
    return ours
