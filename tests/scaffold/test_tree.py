import os
import stat
from pathlib import Path

import pytest

from scaffold import tree

FILES = {
    "a.txt": tree.File(b"a\n"),
    "deep/er/run.sh": tree.File(b"#!/bin/sh\n", 0o755),
    "b.bin": tree.File(b"\0\r\n"),
}


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    tree.write(FILES, tmp_path / "new")
    assert tree.read(tmp_path / "new") == dict(sorted(FILES.items()))


def test_write_needs_a_new_folder(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        tree.write(FILES, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        tree.write(FILES, tmp_path / "new")
    finally:
        os.umask(before)
    for path, mode in {"a.txt": 0o600, "deep/er/run.sh": 0o700}.items():
        assert stat.S_IMODE((tmp_path / "new" / path).stat().st_mode) == mode


def test_links_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to("real")
    assert list(tree.read(tmp_path)) == ["real"]


def test_digest_ignores_line_endings_of_text_only() -> None:
    assert tree.digest(b"a\r\nb\n") == tree.digest(b"a\nb\n")
    assert tree.digest(b"\0\r\n") != tree.digest(b"\0\n")
