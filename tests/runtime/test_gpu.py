"""What needs an accelerator: half precisions, compilation, resume and FSDP on one GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import scaffold_runtime as L

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="torch finds no CUDA device here"
    ),
]


class Regression(L.LightningModule):
    """Learns the sum of its inputs, with dropout so that random state matters."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(8, 32), nn.Tanh(), nn.Dropout(0.1), nn.Linear(32, 1)
        )
        self.losses = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = nn.functional.mse_loss(self.network(x), y)
        self.losses.append(loss.detach())
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


def loader():
    x = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
    data = TensorDataset(x, x.sum(1, keepdim=True))
    return DataLoader(data, batch_size=16, shuffle=True)


def trainer(folder, **arguments):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    settings = {"max_epochs": 8, "accelerator": "gpu", "devices": 1, "logger": False}
    return L.Trainer(default_root_dir=folder, **{**settings, **quiet, **arguments})


def improvement(module):
    """The last epoch's mean loss over the first's."""
    losses = torch.stack(module.losses).float()
    return (losses[-16:].mean() / losses[:16].mean()).item()


@pytest.mark.parametrize(
    "precision", ["32-true", "bf16-mixed", "16-mixed", "bf16-true"]
)
def test_every_precision_learns(precision, tmp_path):
    L.seed_everything(0)
    module = Regression()
    trainer(tmp_path, precision=precision).fit(module, loader())
    assert improvement(module) < 0.5
    half = torch.bfloat16 if precision == "bf16-true" else torch.float32
    assert {weight.dtype for weight in module.parameters()} == {half}


def test_a_compiled_module_learns(tmp_path):
    L.seed_everything(0)
    module = Regression()
    module.network.compile()
    trainer(tmp_path).fit(module, loader())
    assert improvement(module) < 0.5


@pytest.mark.parametrize("precision", ["32-true", "16-mixed"])
def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(precision, tmp_path):
    def run(epochs, **resume):
        L.seed_everything(0)
        module = Regression()
        runner = trainer(
            tmp_path, max_epochs=epochs, precision=precision, deterministic=True
        )
        runner.fit(module, loader(), **resume)
        return runner, module

    runner, _ = run(2)
    runner.save_checkpoint(tmp_path / "two.ckpt")
    _, resumed = run(4, ckpt_path=tmp_path / "two.ckpt")
    _, whole = run(4)
    for mine, expected in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(mine, expected)


FSDP = """
import sys
sys.path.insert(0, sys.argv[1])
import test_gpu

import scaffold_runtime as L

L.seed_everything(0)
module = test_gpu.Regression()
runner = test_gpu.trainer(sys.argv[2], strategy="fsdp", precision="bf16-mixed")
runner.fit(module, test_gpu.loader())
assert test_gpu.improvement(module) < 0.5
"""


def test_fsdp_on_one_device(tmp_path):
    here = Path(__file__).parent
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    script = tmp_path / "fsdp.py"
    script.write_text(FSDP)
    subprocess.run(
        [*command, "--nproc-per-node", "1", str(script), str(here), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(here.parents[1] / "runtime")},
        check=True,
    )


def test_a_loaded_module_is_where_its_weights_were_sent(tmp_path):
    trained = trainer(tmp_path, max_epochs=1)
    trained.fit(Regression(), loader())
    trained.save_checkpoint(tmp_path / "x.ckpt")
    for sent, found in ({}, "cpu"), ({"map_location": "cuda:0"}, "cuda:0"):
        module = Regression.load_from_checkpoint(tmp_path / "x.ckpt", **sent)
        assert module.device == torch.device(found)
