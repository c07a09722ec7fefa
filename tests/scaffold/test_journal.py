import errno
import os
from pathlib import Path

import pytest

from scaffold import journal, tree
from scaffold.errors import ScaffoldError
from scaffold.plan import Operation, Plan
from scaffold.tree import File

OLD = {
    "a.py": File(b"a\n"),
    "deep/b.bin": File(b"\0\xff"),
    "c.sh": File(b"#!\n", 0o755),
}
NEW = {"a.py": File(b"A\r\n"), "new/d.py": File(b"d\n"), "c.sh": File(b"#!\n", 0o755)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    tree.write(OLD, root)
    (root / ".scaffold" / "undo").mkdir(parents=True)
    return root


def plan(root: Path, title: str = "change") -> Plan:
    paths = sorted({*OLD, *NEW})
    return Plan(
        "test",
        root,
        tuple(Operation(path, OLD.get(path), NEW.get(path)) for path in paths),
        title=title,
    )


def content(root: Path) -> dict[str, File]:
    found = tree.read(root)
    return {path: file for path, file in found.items() if not path.startswith(".")}


def test_apply_makes_the_new_files_and_keeps_the_old_ones(root: Path) -> None:
    journal.apply(plan(root))
    assert content(root) == dict(sorted(NEW.items()))
    assert not (root / "deep").exists()
    [entry] = journal.entries(root)
    assert entry.command == "change"
    assert entry.operations == plan(root).operations


def test_entries_are_numbered_and_the_last_twenty_kept(root: Path) -> None:
    for number in range(journal.KEPT + 3):
        journal.apply(Plan("test", root, (), title=f"number {number}"))
    commands = [entry.command for entry in journal.entries(root)]
    assert commands == [f"number {number}" for number in range(3, journal.KEPT + 3)]


def test_undoing_takes_its_entries_away(root: Path) -> None:
    for number in range(3):
        journal.apply(Plan("test", root, (), title=str(number)))
    journal.apply(Plan("undo", root, ()), undoes=journal.entries(root)[1:])
    assert [entry.command for entry in journal.entries(root)] == ["0"]


@pytest.mark.parametrize("path", ["../x", "/tmp/x", ".git/config", "a/.git/x"])
def test_paths_outside_are_refused(root: Path, path: str) -> None:
    with pytest.raises(ScaffoldError, match="no path"):
        journal.apply(Plan("test", root, (Operation(path, None, File(b"")),)))


@pytest.mark.parametrize("path", ["link/x", "link"])
def test_never_through_a_link(root: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ScaffoldError, match="link"):
        journal.apply(Plan("test", root, (Operation(path, None, File(b"")),)))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_appears_meanwhile_is_not_overwritten(root: Path) -> None:
    (root / "new").mkdir()
    (root / "new" / "d.py").write_text("mine")
    (root / "a.py").write_text("mine too")
    (root / "deep" / "b.bin").write_text("and mine")
    journal.apply(plan(root))
    assert (root / "new" / "d.py").read_text() == "mine"
    assert (root / "new" / "d.py.new").read_bytes() == b"d\n"
    assert (root / "a.py").read_text() == "mine too"
    assert (root / "a.py.new").read_bytes() == b"A\r\n"
    assert (root / "deep" / "b.bin").read_text() == "and mine"


@pytest.mark.parametrize("after", range(4))
def test_a_disk_that_refuses_changes_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    passes = iter(range(after))
    write_file = tree.write_file

    def refuse(path: Path, file: File) -> None:
        if path.name == "staged" and next(passes, None) is None:
            monkeypatch.setattr(tree, "write_file", write_file)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_file(path, file)

    monkeypatch.setattr(tree, "write_file", refuse)
    try:
        journal.apply(plan(root))
    except ScaffoldError as error:
        assert "No space left" in str(error)
        assert content(root) == dict(sorted(OLD.items()))
        assert not journal.is_pending(root)
    else:
        assert content(root) == dict(sorted(NEW.items()))


def test_recover_of_a_quiet_project_does_nothing(root: Path) -> None:
    assert journal.recover(root) is None


def test_a_damaged_entry_is_named(root: Path) -> None:
    (root / ".scaffold" / "undo" / "1.json").write_text("{")
    with pytest.raises(ScaffoldError, match=r"undo/1\.json is damaged"):
        journal.entries(root)


def test_two_at_once_are_refused(root: Path) -> None:
    message = "another scaffold command is at work"
    with (
        journal.exclusive(root),
        pytest.raises(ScaffoldError, match=message),
        journal.exclusive(root),
    ):
        pass
    with journal.exclusive(root):
        pass
