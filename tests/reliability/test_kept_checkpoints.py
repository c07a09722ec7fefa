"""A run that is killed anywhere and resumed keeps the checkpoints of one that was not."""

import shutil

import pytest
import torch

import scaffold_runtime as L
from scaffold_runtime.callbacks import ModelCheckpoint
from scaffold_runtime.errors import CheckpointError
from tests.reliability.recorded_run import differences, fit, loader, outcome


class Killed(BaseException):
    """Ends a run as a kill would: nobody gets to save."""


class Kill(L.Callback):
    """Counts the moments of a run, and ends it at one of them."""

    runs_last = True

    def __init__(self, at=0):
        self.at, self.moments = at, 0

    def _count(self, *_):
        self.moments += 1
        if self.moments == self.at:
            raise Killed

    on_train_batch_start = on_train_batch_end = on_train_epoch_end = _count
    on_validation_start = on_validation_end = _count


def validation():
    return loader(shuffle=False)


CASES = {
    "each_epoch": {"monitor": "loss", "mode": "max", "save_last": True},
    "best_early": {"monitor": "val_loss", "mode": "max", "save_last": True},
    "all_by_steps": {
        "monitor": "loss",
        "save_top_k": -1,
        "save_last": True,
        "every_n_train_steps": 3,
    },
    "waiting_for_validation": {
        "monitor": "val_loss",
        "save_top_k": 2,
        "save_last": True,
        "every_n_train_steps": 2,
    },
    "newest": {"save_last": True, "every_n_train_steps": 1},
}


def run(folder, saves, kill, **resume):
    return fit(
        folder,
        ModelCheckpoint(folder / "kept", **saves),
        kill,
        val=validation(),
        enable_checkpointing=True,
        accumulate_grad_batches=2,
        val_check_interval=4,
        **resume,
    )


def kept(folder):
    """Each file's name, and which step's weights it holds."""
    contents = {
        path.name: torch.load(path, weights_only=True)
        for path in (folder / "kept").glob("*.ckpt")
    }
    return {
        name: (content["global_step"], content["state_dict"]["layers.0.bias"].tolist())
        for name, content in contents.items()
    }


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:.*not empty")
def test_killed_at_every_moment(name, tmp_path):
    counted = Kill()
    whole = run(tmp_path / "whole", CASES[name], counted)
    expected, files = outcome(whole), kept(tmp_path / "whole")
    for moment in range(1, counted.moments + 1):
        folder = tmp_path / "killed"
        shutil.rmtree(folder, ignore_errors=True)
        with pytest.raises(Killed):
            run(folder, CASES[name], Kill(moment))
        try:
            resumed = run(folder, CASES[name], Kill(), ckpt_path="last", seed=5)
        except CheckpointError:
            continue  # it was killed before the first save
        ended = outcome(resumed)
        for content in (expected, ended):
            content.pop("callbacks", None)
        assert differences(expected, ended) == [], moment
        left = kept(folder)
        # The file that a run went on from is never deleted.
        extra = left.keys() - files.keys()
        assert len(extra) <= 1 and not any("-v" in each for each in extra), moment
        assert {each: left.get(each) for each in files} == files, moment
