"""What the Trainer adds to one step of a raw loop, in Python calls and frames.

Calls repeat exactly where seconds do not, so they are what is held.
"""

import sys

import pytest
import torch
from torch import nn

import scaffold_runtime as L
from benchmarks import training_step


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def raw_calls():
    return training_step.calls_per_step(training_step.raw)


@pytest.mark.parametrize(
    ("contender", "allowed"),
    [(training_step.ours_off, 12), (training_step.ours_defaults, 30)],
)
def test_few_calls_beyond_a_raw_loop(contender, allowed, raw_calls):
    assert training_step.calls_per_step(contender) - raw_calls <= allowed


def test_few_frames_between_fit_and_the_training_step():
    chain = []

    class Net(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = nn.Linear(32, 2)

        def training_step(self, batch, batch_idx):
            frame = sys._getframe(1)
            while frame.f_code.co_name != "fit":
                chain.append(frame.f_code.co_name)
                frame = frame.f_back
            x, y = batch
            return nn.functional.cross_entropy(self.network(x), y)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    trainer = L.Trainer(max_steps=1, accelerator="cpu", **training_step.OFF)
    trainer.fit(Net(), training_step.loader())
    assert 0 < len(chain) <= 4, chain
