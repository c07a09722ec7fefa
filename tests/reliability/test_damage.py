"""Damaged checkpoints are noticed, named and set aside; the newest whole one is taken."""

import os
import shutil

import pytest
import torch

from scaffold_runtime.callbacks import ModelCheckpoint
from scaffold_runtime.checkpoint import read_checkpoint, write_checkpoint
from scaffold_runtime.errors import CheckpointError, DamagedCheckpointError
from tests.reliability.recorded_run import differences, fit, outcome


def truncate(share):
    def damage(path):
        os.truncate(path, int(path.stat().st_size * share))

    return damage


def zero(path):
    path.write_bytes(bytes(path.stat().st_size))


def flip_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def fill_with_garbage(path):
    path.write_bytes(os.urandom(path.stat().st_size))


DAMAGES = {
    "truncated to 0%": truncate(0.0),
    "truncated to 50%": truncate(0.5),
    "truncated to 99%": truncate(0.99),
    "zeroed": zero,
    "bit flipped": flip_bit,
    "deleted": os.remove,
    "garbage": fill_with_garbage,
}


def every_three_steps(root):
    return ModelCheckpoint(root / "kept", every_n_train_steps=3, save_top_k=-1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, and the checkpoints that it kept, oldest first."""
    root = tmp_path_factory.mktemp("finished")
    expected = outcome(fit(root, every_three_steps(root), enable_checkpointing=True))
    files = sorted((root / "kept").glob("*.ckpt"), key=lambda f: f.stat().st_mtime_ns)
    assert len(files) == 5
    return expected, files


def copy_of(files, root):
    (root / "kept").mkdir()
    return [shutil.copy2(file, root / "kept" / file.name) for file in files]


def go_on(root):
    return fit(
        root, every_three_steps(root), enable_checkpointing=True, ckpt_path="last"
    )


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.filterwarnings("ignore:.*(is damaged|not empty|were in)")
def test_the_newest_whole_one_is_taken(damage, number, finished, tmp_path):
    expected, files = finished
    copies = copy_of(files, tmp_path)
    for path in copies[-number:]:
        DAMAGES[damage](path)
    resumed = go_on(tmp_path)
    expected = {**expected, "callbacks": None}
    assert differences(expected, {**outcome(resumed), "callbacks": None}) == []
    assert resumed.ckpt_path == str(copies[-number - 1])
    aside = {path.name for path in (tmp_path / "kept").glob("damaged-*")}
    gone = damage == "deleted"
    assert aside == (set() if gone else {f"damaged-{p.name}" for p in copies[-number:]})


@pytest.mark.parametrize("damage", sorted(set(DAMAGES) - {"deleted"}))
@pytest.mark.filterwarnings("ignore:.*(is damaged|not empty)")
def test_without_a_whole_one_the_run_stops(damage, finished, tmp_path):
    for path in copy_of(finished[1], tmp_path):
        DAMAGES[damage](path)
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* can go on from"):
        go_on(tmp_path)


def test_without_any_the_run_stops(tmp_path):
    with pytest.raises(CheckpointError, match="'last' found no checkpoint"):
        go_on(tmp_path)


@pytest.mark.filterwarnings("ignore:.*not empty")
def test_the_damage_is_told(finished, tmp_path):
    newest = copy_of(finished[1], tmp_path)[-1]
    flip_bit(newest)
    message = f"{newest} is damaged .* It is kept as damaged-{newest.name}"
    with pytest.warns(UserWarning, match=message):
        go_on(tmp_path)


@pytest.mark.parametrize("damage", sorted(set(DAMAGES) - {"deleted"}))
def test_a_damaged_one_asked_for_by_path_is_refused(damage, finished, tmp_path):
    path = copy_of(finished[1], tmp_path)[-1]
    DAMAGES[damage](path)
    with pytest.raises(DamagedCheckpointError, match=str(path)):
        fit(tmp_path, ckpt_path=path)


def flipped_everywhere(tmp_path, stride):
    content = {
        "weights": torch.arange(64.0),
        "names": ["a", 2, None],
        "nested": {"x": 1.5},
    }
    whole, damaged = tmp_path / "whole.ckpt", tmp_path / "flipped.ckpt"
    write_checkpoint(content, whole)
    original = whole.read_bytes()
    for position in range(0, len(original) * 8, stride):
        changed = bytearray(original)
        changed[position // 8] ^= 1 << position % 8
        damaged.write_bytes(changed)
        try:
            loaded = read_checkpoint(damaged)
        except CheckpointError:
            continue
        assert differences(content, loaded) == [], f"bit {position}"


def test_no_flipped_bit_changes_what_is_read(tmp_path):
    flipped_everywhere(tmp_path, stride=37)


@pytest.mark.full
def test_no_flipped_bit_anywhere_changes_what_is_read(tmp_path):
    flipped_everywhere(tmp_path, stride=1)
