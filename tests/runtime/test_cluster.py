"""Two machines train as one, over a network of their own.

The machines are network namespaces joined by a virtual cable: each has its own addresses
and its own loopback, which is what separates machines for a rendezvous.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

RUNTIME = Path(__file__).parents[2] / "runtime"
HOSTS = {"scaffold-a": "10.213.7.1", "scaffold-b": "10.213.7.2"}

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None,
        reason="two network namespaces need Linux, root and iproute2's `ip`",
    ),
]

TRAINING = """
import sys
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import scaffold_runtime as L

class Net(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        return nn.functional.mse_loss(self.network(x), y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

processes, nodes, target = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
L.seed_everything(0)
x = torch.randn(64, 8)
loader = DataLoader(
    TensorDataset(x, x.sum(1, keepdim=True)), batch_size=16 // nodes, shuffle=True
)
net = Net()
trainer = L.Trainer(
    max_epochs=3, accelerator="cpu", devices=processes, num_nodes=nodes,
    strategy="ddp" if nodes > 1 else "auto", logger=False,
    enable_checkpointing=False, enable_progress_bar=False, default_root_dir=target,
)
trainer.fit(net, loader)
if trainer.is_global_zero:
    torch.save(net.state_dict(), f"{target}/weights.pt")
"""


def ip(*words):
    """Run iproute2's `ip`."""
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def hosts():
    """Two namespaces with an address each, joined by a cable."""
    for host in HOSTS:
        ip("netns", "add", host)
    try:
        first, second = HOSTS
        ends = [word for host in (first, second) for word in ("cable", "netns", host)]
        ip("link", "add", *ends[:3], "type", "veth", "peer", "name", *ends[3:])
        for host, address in HOSTS.items():
            ip("-n", host, "addr", "add", f"{address}/24", "dev", "cable")
            ip("-n", host, "link", "set", "cable", "up")
            ip("-n", host, "link", "set", "lo", "up")
        yield HOSTS
    finally:
        for host in HOSTS:
            ip("netns", "delete", host)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "training.py"
    path.write_text(TRAINING)
    return path


def environment():
    """One thread per process, the runtime of this checkout, the cable for Gloo."""
    return os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(RUNTIME),
        "GLOO_SOCKET_IFNAME": "cable",
    }


def test_two_machines_train_as_one_process_does(hosts, script, tmp_path):
    agents = []
    for rank, host in enumerate(hosts):
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
        torchrun += ["--node-rank", str(rank), "--nproc-per-node", "1"]
        torchrun += ["--master-addr", hosts["scaffold-a"], "--master-port", "29511"]
        command = ["ip", "netns", "exec", host, *torchrun, str(script), "1", "2"]
        agents.append(subprocess.Popen([*command, str(tmp_path)], env=environment()))
    try:
        assert [agent.wait(timeout=120) for agent in agents] == [0, 0]
    finally:
        for agent in agents:
            agent.kill()
    weights = torch.load(tmp_path / "weights.pt")
    alone = tmp_path / "alone"
    alone.mkdir()
    subprocess.run(
        [sys.executable, str(script), "1", "1", str(alone)],
        env=environment(),
        check=True,
    )
    for name, expected in torch.load(alone / "weights.pt").items():
        torch.testing.assert_close(weights[name], expected, rtol=1e-5, atol=1e-7)
