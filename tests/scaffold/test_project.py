from pathlib import Path

import pytest

from scaffold import project as projects
from scaffold import tree
from scaffold.errors import ScaffoldError, UsageError


def test_a_project_is_found_from_any_folder_of_it(project: Path) -> None:
    assert projects.find(project / "digits") == project
    assert projects.find(project) == project


def test_outside_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="scaffold new"):
        projects.find(tmp_path)


def test_the_base_is_what_was_generated(project: Path) -> None:
    base = projects.Project.open(project).base.wired()
    on_disk = {
        path: file
        for path, file in tree.read(project).items()
        if not path.startswith((".scaffold/", "vendor/"))
    }
    assert base == on_disk


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("project.toml", 'version = "', 'version = "99.', "upgrade torch-scaffold"),
        ("project.toml", "format = 1", "format = 99", "upgrade torch-scaffold"),
        ("project.toml", 'version = "', 'version = "x', "no version"),
        ("project.toml", "task =", "task", "damaged"),
        ("lock/project.json", '"files"', '"fils"', "damaged"),
        ("lock/project.json", '"sha256": "', '"sha256": "00', "missing or damaged"),
        ("lock/runtime.json", "{", "[", "damaged"),
    ],
)
def test_damaged_or_newer_state_is_one_sentence(
    project: Path, file: str, old: str, new: str, message: str
) -> None:
    replace(project / ".scaffold" / file, old, new)
    with pytest.raises(ScaffoldError, match=message) as error:
        projects.Project.open(project).base.wired()
    assert str(error.value).isprintable()


def test_a_changed_object_is_noticed(project: Path) -> None:
    stored = next((project / ".scaffold" / "objects").iterdir())
    stored.write_bytes(stored.read_bytes() + b"#")
    with pytest.raises(ScaffoldError, match="missing or damaged"):
        projects.Project.open(project).base.wired()


def test_a_missing_lock_is_named(project: Path) -> None:
    (project / ".scaffold" / "lock" / "project.json").unlink()
    with pytest.raises(ScaffoldError, match=r"lock/project\.json is missing"):
        projects.Project.open(project)
