"""A run that is killed anywhere and started again ends as if it had never been killed."""

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

import scaffold_runtime
import scaffold_runtime as L
from scaffold_runtime import fault
from scaffold_runtime.callbacks import ModelCheckpoint
from scaffold_runtime.checkpoint import read_checkpoint, verify_checkpoint
from scaffold_runtime.errors import CheckpointError
from tests.reliability.recorded_run import differences, fit, loader, outcome


class Pause(L.Callback):
    def __init__(self, seconds):
        self.seconds = seconds

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        time.sleep(self.seconds)


def train(root, seconds=0.0):
    """The command that is started again and again: it goes on where there is something."""
    folder = root / "kept"
    callback = ModelCheckpoint(folder, every_n_train_steps=1, save_last=True)
    trainer = fit(
        root,
        Pause(seconds),
        callback,
        val=loader(shuffle=False),
        val_check_interval=3,
        max_epochs=3,
        enable_checkpointing=True,
        ckpt_path="last" if list(folder.glob("*.ckpt")) else None,
    )
    return {**outcome(trainer), "callbacks": None}


def started(root, point="", seconds=0.0):
    """A child that trains; forked, as a new interpreter would take seconds to start."""
    child = os.fork()
    if child == 0:
        os.environ["SCAFFOLD_FAULT"] = point
        try:
            train(root, seconds)
        finally:
            os._exit(0)
    return child


def ended_by_kill(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def files_left_over(root):
    return [path.name for path in (root / "kept").iterdir() if path.suffix != ".ckpt"]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return train(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("passes", [1, 3])
@pytest.mark.parametrize("point", fault.POINTS)
@pytest.mark.filterwarnings("ignore:.*(not empty|passed over)")
def test_killed_at_a_crash_point(point, passes, expected, tmp_path):
    assert ended_by_kill(started(tmp_path, f"{point}:{passes}"))
    for path in (tmp_path / "kept").glob("*.ckpt"):
        verify_checkpoint(path)
    assert differences(expected, train(tmp_path)) == []
    assert files_left_over(tmp_path) == []


def kill_in_a_chain(root, expected, kills):
    moments = random.Random(0)
    for _ in range(kills):
        child = started(root, seconds=0.05)
        time.sleep(moments.uniform(0.2, 0.9))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert differences(expected, train(root)) == []
    assert files_left_over(root) == []


@pytest.mark.filterwarnings("ignore:.*(not empty|passed over)")
def test_killed_at_random_moments(expected, tmp_path):
    kill_in_a_chain(tmp_path, expected, kills=3)


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:.*(not empty|passed over)")
def test_killed_at_twenty_random_moments(expected, tmp_path):
    kill_in_a_chain(tmp_path, expected, kills=20)


def test_points_lists_exactly_the_points_in_the_source():
    package = Path(scaffold_runtime.__path__[0])
    source = "".join(path.read_text() for path in package.rglob("*.py"))
    found = re.findall(r'crash_point\("([\w.]+)"\)', source)
    assert sorted(found) == sorted(fault.POINTS)


# --- a disk that is full ------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A file system with room for one and a half checkpoints."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_the_former_checkpoint_good(small_disk):
    class Large(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(512, 512)  # 1 MiB

        def training_step(self, batch, batch_idx):
            return self.layer(batch).square().mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    callback = ModelCheckpoint(small_disk, every_n_train_steps=1, save_top_k=-1)
    with pytest.warns(
        UserWarning, match=r"disk is full.* needs about .* Training goes on"
    ):
        trainer = fit(
            small_disk.parent,
            callback,
            net=Large,
            data=[torch.ones(1, 512)] * 3,
            max_epochs=1,
            enable_checkpointing=True,
        )
    assert trainer.global_step == 3
    assert [path.name for path in small_disk.iterdir()] == ["epoch=0-step=1.ckpt"]
    assert read_checkpoint(small_disk / "epoch=0-step=1.ckpt")["global_step"] == 1
    with pytest.raises(
        CheckpointError, match=r"needs about [\d,]+ bytes and [\d,]+ are"
    ):
        trainer.save_checkpoint(small_disk / "another.ckpt")
