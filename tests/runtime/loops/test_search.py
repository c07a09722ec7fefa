"""What `ckpt_path="last"` and `"best"` find, and that they say so."""

import os

import pytest
import torch

from scaffold_runtime.callbacks import ModelCheckpoint
from scaffold_runtime.errors import CheckpointError, NoCheckpointError
from tests.reliability.recorded_run import fit, loader


def keep_all(root, **arguments):
    folder = root / "checkpoints"
    return ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, **arguments)


@pytest.mark.filterwarnings("ignore:.*not empty")
def test_last_is_the_newest_and_is_told(tmp_path, caplog):
    fit(tmp_path, keep_all(tmp_path), enable_checkpointing=True)
    folder = tmp_path / "checkpoints"
    os.utime(folder / "epoch=0.ckpt", ns=(0, 0))
    caplog.set_level("INFO")
    trainer = fit(
        tmp_path, keep_all(tmp_path), enable_checkpointing=True, ckpt_path="last"
    )
    assert trainer.ckpt_path == str(folder / "epoch=1.ckpt")
    assert f"ckpt_path='last' is {trainer.ckpt_path}" in caplog.text


@pytest.mark.filterwarnings("ignore:.*(not empty|Lightning)")
def test_a_file_of_weights_only_is_passed_over(tmp_path):
    trainer = fit(tmp_path, keep_all(tmp_path), enable_checkpointing=True)
    trainer.save_checkpoint(tmp_path / "checkpoints" / "w.ckpt", weights_only=True)
    trainer = fit(
        tmp_path, keep_all(tmp_path), enable_checkpointing=True, ckpt_path="last"
    )
    assert trainer.ckpt_path == str(tmp_path / "checkpoints" / "epoch=1.ckpt")


@pytest.mark.filterwarnings("ignore:.*not empty")
@pytest.mark.parametrize("asked", ["last", "best"])
def test_weights_are_enough_to_test(asked, tmp_path):
    own = {"save_weights_only": True}
    fit(tmp_path, keep_all(tmp_path, **own), enable_checkpointing=True)
    trainer = fit(
        tmp_path, keep_all(tmp_path, **own), enable_checkpointing=True, max_epochs=0
    )
    trainer.validate(trainer.module, loader(), ckpt_path=asked, verbose=False)
    assert trainer.ckpt_path == str(tmp_path / "checkpoints" / "epoch=1.ckpt")
    with pytest.raises(CheckpointError, match=asked):
        fit(
            tmp_path,
            keep_all(tmp_path, **own),
            enable_checkpointing=True,
            ckpt_path=asked,
        )


@pytest.mark.filterwarnings("ignore:.*not empty")
def test_best_is_what_the_run_before_called_best(tmp_path):
    def callback():
        return keep_all(tmp_path, monitor="loss_epoch", mode="max")

    first = fit(tmp_path, callback(), enable_checkpointing=True, max_epochs=3)
    best = first.checkpoint_callback.best_model_path
    trainer = fit(
        tmp_path,
        callback(),
        enable_checkpointing=True,
        max_epochs=4,
        ckpt_path="best",
    )
    assert best and trainer.ckpt_path == best


@pytest.mark.parametrize("asked", ["last", "best", "missing.ckpt"])
def test_nothing_starts_from_scratch_in_silence(asked, tmp_path):
    with pytest.raises(CheckpointError, match=asked):
        fit(tmp_path, ckpt_path=asked)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*(not empty|passed over)")
def test_a_file_that_would_run_code_is_left_where_it_is(tmp_path):
    class Payload:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    fit(tmp_path, keep_all(tmp_path), enable_checkpointing=True)
    hostile = tmp_path / "checkpoints" / "x.ckpt"
    torch.save({"optimizer_states": Payload()}, hostile)
    trainer = fit(
        tmp_path, keep_all(tmp_path), enable_checkpointing=True, ckpt_path="last"
    )
    assert trainer.ckpt_path == str(tmp_path / "checkpoints" / "epoch=1.ckpt")
    assert hostile.exists() and not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_a_path_that_leads_to_nothing_good_leaves_nothing_behind(content, tmp_path):
    path = tmp_path / "none.ckpt"
    if content is not None:
        path.write_bytes(content)
    before = os.listdir(tmp_path)
    with pytest.raises(CheckpointError, match=str(path)):
        fit(tmp_path, logger=True, enable_checkpointing=True, ckpt_path=path)
    assert os.listdir(tmp_path) == before


def test_a_path_that_is_not_there_is_a_file_not_found(tmp_path):
    for missing in (NoCheckpointError, CheckpointError, FileNotFoundError):
        with pytest.raises(missing, match=r"There is no checkpoint .*none\.ckpt"):
            fit(tmp_path, ckpt_path=tmp_path / "none.ckpt")
