"""Checkpoint files: whole or not at all, and read as data only.

What a damaged one does to a resuming run is in tests/reliability.
"""

import errno
import os
import pickle
import zipfile

import pytest
import torch

import scaffold_runtime as L
from scaffold_runtime.checkpoint import read_checkpoint, write_checkpoint


def test_what_is_written_is_read(tmp_path):
    content = {"weights": torch.arange(3), "nest": [1, {"a": (None, "text")}], "x": 1.5}
    write_checkpoint(content, tmp_path / "new" / "folder" / "x.ckpt")
    read = read_checkpoint(tmp_path / "new" / "folder" / "x.ckpt")
    assert torch.equal(read.pop("weights"), content.pop("weights"))
    assert read == content
    assert os.listdir(tmp_path / "new" / "folder") == ["x.ckpt"]


def test_what_was_there_survives_a_failure(tmp_path, monkeypatch):
    path = tmp_path / "x.ckpt"
    write_checkpoint({"version": 1}, path)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(L.CheckpointError, match="disk is full"):
        write_checkpoint({"version": 2}, path)
    assert read_checkpoint(path) == {"version": 1}
    assert os.listdir(tmp_path) == ["x.ckpt"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(L.CheckpointError, match=r"x\.ckpt could not be written"):
        write_checkpoint({}, tmp_path / "file" / "x.ckpt")


def test_nothing_in_a_file_is_executed(tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"x": Payload()}, tmp_path / "x.ckpt")
    with pytest.raises(L.CheckpointError, match="more than plain data"):
        read_checkpoint(tmp_path / "x.ckpt")
    assert not (tmp_path / "executed").exists()


def test_a_bare_pickle_is_no_checkpoint(tmp_path):
    (tmp_path / "x.ckpt").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(L.CheckpointError, match="damaged"):
        read_checkpoint(tmp_path / "x.ckpt")


@pytest.mark.parametrize("keep", [0, 10, 400])
def test_a_truncated_file_is_found(keep, tmp_path):
    path = tmp_path / "x.ckpt"
    write_checkpoint({"weights": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(L.CheckpointError, match="damaged"):
        read_checkpoint(path)


def test_one_changed_bit_is_found(tmp_path):
    path = tmp_path / "x.ckpt"
    write_checkpoint({"weights": torch.ones(1000)}, path)
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + 600] ^= 1
    path.write_bytes(content)
    with pytest.raises(L.CheckpointError, match="checksum"):
        read_checkpoint(path)


def test_a_file_that_is_missing_or_holds_something_else_is_named(tmp_path):
    with pytest.raises(L.CheckpointError, match="There is no checkpoint"):
        read_checkpoint(tmp_path / "nowhere.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(L.CheckpointError, match="list"):
        read_checkpoint(tmp_path / "list.ckpt")
