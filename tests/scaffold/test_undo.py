from pathlib import Path

import pytest

from scaffold import journal
from scaffold.errors import UsageError
from tests.scaffold.components import add, opened, remove, snapshot, undo


def test_the_last_operations_are_put_back(project: Path) -> None:
    states = [snapshot(project)]
    for name in ("one", "two", "three"):
        add("callback", name)
        states.append(snapshot(project))
    undo()
    assert snapshot(project) == states[2]
    undo(2)
    assert snapshot(project) == states[0]
    assert journal.entries(project) == []


def test_what_the_user_changed_since_stays(project: Path) -> None:
    add("callback", "grad-norm")
    path = project / "configs" / "default.yaml"
    path.write_text("# mine\n" + path.read_text())
    undo()
    assert path.read_text() == "# mine\ntrainer:\n  max_epochs: 3\n"


def test_what_the_user_changed_between_two_operations_stays(project: Path) -> None:
    path = project / "configs" / "default.yaml"
    add("callback", "one")
    path.write_text(path.read_text().replace("epochs: 3", "epochs: 9"))
    add("callback", "two")
    add("callback", "three")
    undo(3)
    assert path.read_text() == "trainer:\n  max_epochs: 9\n"


def test_a_file_that_the_user_changed_since_is_kept(project: Path) -> None:
    add("callback", "grad-norm")
    path = project / "tests" / "test_grad_norm.py"
    path.write_text("mine\n")
    plan = undo()
    assert path.read_text() == "mine\n"
    assert plan.notes == ("kept: tests/test_grad_norm.py, which you changed since",)
    assert opened().record.components == ()


def test_a_file_that_the_user_made_since_is_kept(project: Path) -> None:
    add("callback", "grad-norm")
    remove("callback", "grad-norm")
    path = project / "tests" / "test_grad_norm.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine\n")
    undo()
    assert path.read_text() == "mine\n"


@pytest.mark.parametrize("count", [0, -1, 2])
def test_more_than_there_are(project: Path, count: int) -> None:
    add("callback", "grad-norm")
    with pytest.raises(UsageError, match="1 operations to undo"):
        undo(count)
