"""Two ranks that share batch statistics are one process with both batches."""

import os
import subprocess
import sys

import pytest
import torch

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this torch has no torch.distributed"
)

SCRIPT = """
import copy
import itertools

import torch
import torch.distributed as dist
from torch import nn

from scaffold_runtime.strategies.batch_norm import synchronize_batch_norm

dist.init_process_group("gloo")
mine = slice(0, 3) if dist.get_rank() == 0 else slice(3, 8)
kinds = {nn.BatchNorm1d: (), nn.BatchNorm2d: (4, 2), nn.BatchNorm3d: (2, 3, 2)}
options = [{}, {"affine": False}, {"momentum": None}, {"track_running_stats": False}]
for (kind, shape), arguments in itertools.product(kinds.items(), options):
    torch.manual_seed(0)
    whole = nn.Sequential(nn.Linear(2, 2), kind(5, **arguments)).double()
    norm = whole[1]
    if norm.affine:
        nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    own = copy.deepcopy(whole)
    synchronize_batch_norm(own, torch.device("cpu"))
    assert own.state_dict().keys() == whole.state_dict().keys()
    for _ in range(3):
        x = (torch.randn(8, 5, *shape) * 2 + 50).double().requires_grad_()
        goal = torch.randn_like(x)
        expected = norm(x)
        (expected * goal).square().sum().backward()
        part = x.detach()[mine].requires_grad_()
        out = own[1](part)
        (out * goal[mine]).square().sum().backward()
        close = dict(rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(out, expected[mine], **close)
        torch.testing.assert_close(part.grad, x.grad[mine], **close)
    for a, b in zip(own[1].parameters(), norm.parameters(), strict=True):
        dist.all_reduce(a.grad)
        torch.testing.assert_close(a.grad, b.grad, **close)
    for a, b in zip(own.buffers(), whole.buffers(), strict=True):
        torch.testing.assert_close(a, b, **close)
    own.eval(), whole.eval()
    torch.testing.assert_close(own[1](part), norm(part))
    own.train()[1].track_running_stats = False  # what freezing a module sets
    before = copy.deepcopy(own.state_dict())
    own[1](part)
    assert all(torch.equal(before[key], own.state_dict()[key]) for key in before)
half = own.train()[1].to(torch.bfloat16)(part.bfloat16())
assert half.dtype is torch.bfloat16
dist.destroy_process_group()
"""


def test_outputs_gradients_and_running_statistics_are_those_of_the_whole(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launch, "script.py"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
