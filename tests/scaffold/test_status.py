from pathlib import Path

import pytest

from scaffold import source
from scaffold.status import has_update, plan_diff, states
from tests.scaffold.components import add, opened


def differing() -> dict[str, str]:
    return {n: s for n, s in states(opened()).items() if s != "pristine"}


def test_a_new_project_is_pristine(project: Path) -> None:
    found = states(opened())
    assert set(found.values()) == {"pristine"}
    assert {"train.py", "vendor/torch-scaffold-runtime/LICENSE"} <= found.keys()


def test_what_the_user_did_is_told(project: Path) -> None:
    (project / "train.py").write_text("mine\n")
    (project / "digits" / "model.py").unlink()
    (project / "vendor" / "torch-scaffold-runtime" / "LICENSE").write_text("mine\n")
    (project / "own.py").write_text("no business of ours\n")
    assert differing() == {
        "train.py": "edited",
        "digits/model.py": "missing",
        "vendor/torch-scaffold-runtime/LICENSE": "edited",
    }


def test_line_endings_do_not_count(project: Path) -> None:
    path = project / "digits" / "model.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert differing() == {}


def test_wiring_is_no_edit_and_its_loss_is_told(project: Path) -> None:
    add("callback", "grad-norm")
    assert differing() == {}
    (project / "configs" / "default.yaml").write_text("trainer:\n  max_epochs: 3\n")
    assert differing() == {
        "configs/default.yaml": "edited",
        "callback grad-norm": "unwired",
    }


def test_changed_arguments_are_still_wired(project: Path) -> None:
    add("callback", "early-stopping")
    path = project / "configs" / "default.yaml"
    path.write_text(path.read_text().replace("patience: 3", "patience: 7"))
    assert differing() == {"configs/default.yaml": "edited"}


def test_an_update_is_noticed(own_house: Path, project: Path) -> None:
    assert not has_update(opened())
    files = source.ROOT / "templates" / "project" / "files"
    (files / "new.txt").write_text("new\n")
    assert has_update(opened())
    incoming = plan_diff(opened(), None, incoming=True)
    assert [operation.path for operation in incoming.operations] == ["new.txt"]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (None, ["digits/model.py", "train.py"]),
        ("train.py", ["train.py"]),
        ("digits", ["digits/model.py"]),
        ("digits/", ["digits/model.py"]),
        ("dig", []),
    ],
)
def test_diff_is_yours_against_generated(
    project: Path, path: str | None, names: list[str]
) -> None:
    for name in ("train.py", "digits/model.py"):
        (project / name).write_text("mine\n")
    operations = plan_diff(opened(), path, incoming=False).operations
    assert [operation.path for operation in operations] == names
    assert all(o.after and o.after.content == b"mine\n" for o in operations)
