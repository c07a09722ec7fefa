"""Loaders that start in mid-epoch, in worlds of any size; workers that die."""

import os
import signal
import time

import pytest
import torch
from torch.utils.data import DataLoader

from scaffold_runtime.errors import CheckpointError, DataError
from scaffold_runtime.loader import EpochLoader, Sharding
from tests.reliability.recorded_run import Net, Samples, fit


def epoch_loader(batch_size=4, rank=0, world_size=1, samples=24, **arguments):
    data = DataLoader(
        Samples(samples), batch_size=batch_size, shuffle=True, **arguments
    )
    return EpochLoader(data, Sharding(rank=rank, world_size=world_size, seed=7))


def ids(loader, epoch=0, skip=0):
    return [batch[2].tolist() for batch in loader.iterate(epoch, skip)]


def test_it_starts_at_any_batch_of_any_epoch():
    for epoch in (0, 1):
        whole = ids(epoch_loader(), epoch)
        for skip in range(7):
            assert ids(epoch_loader(), epoch, skip) == whole[skip:]


def steps_of_a_world(world_size, skip=0):
    """The set of samples of each step, over all ranks, at a global batch of 4."""
    ranks = [
        ids(epoch_loader(4 // world_size, rank, world_size), epoch=1, skip=skip)
        for rank in range(world_size)
    ]
    return [sorted(i for own in step for i in own) for step in zip(*ranks, strict=True)]


@pytest.mark.parametrize("world_size", [2, 4])
def test_every_world_sees_the_same_samples_at_the_same_step(world_size):
    assert steps_of_a_world(world_size) == steps_of_a_world(1)
    assert steps_of_a_world(world_size, skip=3) == steps_of_a_world(1)[3:]


def test_a_world_of_another_size_goes_on_at_the_same_global_batch():
    saved = epoch_loader(2, 0, 2)
    ids(saved)
    state = saved.state_dict()
    other = epoch_loader(4)
    other.load_state_dict(state)
    assert ids(other, 0, skip=3) == ids(epoch_loader(4), 0)[3:]
    other.load_state_dict(epoch_loader(4, 0, 2).state_dict())
    with pytest.raises(CheckpointError, match="saved in mid-epoch with 8 samples in a"):
        other.iterate(0, skip=3)


def test_worker_and_main_process_draw_per_sample_alike_on_resume():
    whole = [batch[0] for batch in epoch_loader(num_workers=2).iterate(1)]
    rest = [batch[0] for batch in epoch_loader(num_workers=2).iterate(1, skip=2)]
    assert all(map(torch.equal, whole[2:], rest))


def test_global_generators_are_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    loader = DataLoader(range(8), shuffle=True)
    list(EpochLoader(loader, Sharding(seed=1)).iterate(0))
    assert torch.equal(torch.rand(4), expected)


class Deadly(Samples):
    """Its sample 5 kills the worker that loads it."""

    def __getitem__(self, index):
        if index == 5:
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


class NetOfTwo(Net):
    """Trains on the second loader's batches."""

    def training_step(self, batch, batch_idx):
        return super().training_step(batch[1], batch_idx)


@pytest.mark.parametrize("combined", [False, True])
def test_a_dead_worker_is_named_with_its_samples_within_ten_seconds(combined, tmp_path):
    data = DataLoader(Deadly(), batch_size=3, num_workers=2)
    if combined:
        data = [DataLoader(Samples(), batch_size=3), data]
    began = time.monotonic()
    with pytest.raises(DataError, match=r"Data worker 1 \(process \d+\).*\[3, 4, 5\]"):
        fit(tmp_path, data=data, net=NetOfTwo if combined else Net)
    assert time.monotonic() - began < 10
