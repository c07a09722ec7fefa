"""The low layer alone: a raw loop of one's own."""

from collections import OrderedDict, defaultdict

import pytest
import torch
from torch import nn

import scaffold_runtime as L
from scaffold_runtime.engine import choose_accelerator, choose_devices, move_batch
from tests.runtime.callbacks.conftest import loader


def train(engine, net, batches, clip=None):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for batch in batches:
        optimizer.zero_grad()
        x, y = engine.to_device(batch)
        with engine.autocast():
            loss = nn.functional.mse_loss(net(x), y)
        engine.backward(loss)
        engine.clip_gradients(optimizer, clip)
        engine.step(optimizer)
    return loss


def test_a_raw_loop_trains_as_torch_does():
    torch.manual_seed(0)
    net = nn.Linear(2, 1)
    expected = nn.Linear(2, 1)
    expected.load_state_dict(net.state_dict())
    engine = L.Engine(accelerator="cpu")
    engine.launch()
    model = engine.setup(net)
    assert model is net
    train(engine, model, engine.setup_loader(loader()).iterate(epoch=0))
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.1)
    for x, y in loader():
        optimizer.zero_grad()
        nn.functional.mse_loss(expected(x), y).backward()
        optimizer.step()
    assert torch.equal(net.weight, expected.weight)


def test_the_precision_is_that_of_the_loop():
    engine = L.Engine(accelerator="cpu", precision="64-true")
    engine.launch()
    net = engine.setup(nn.Linear(2, 1))
    loss = train(engine, net, engine.setup_loader(loader()).iterate(epoch=0))
    assert loss.dtype is torch.float64


def test_clipping_gives_the_norm_before(tmp_path):
    engine = L.Engine(accelerator="cpu")
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    weight.grad = torch.tensor([3.0, 4.0])
    assert engine.clip_gradients(optimizer, 1.0).item() == pytest.approx(5.0)
    assert weight.grad.norm().item() == pytest.approx(1.0, rel=1e-4)
    assert engine.clip_gradients(optimizer, 0.5, "value") is None
    assert weight.grad.abs().max() <= 0.5
    assert engine.clip_gradients(optimizer, None) is None


def test_a_checkpoint_goes_there_and_back(tmp_path):
    engine, net = L.Engine(accelerator="cpu"), nn.Linear(2, 1)
    engine.save(str(tmp_path / "x.ckpt"), {"model": net.state_dict(), "epoch": 3})
    content = engine.load(str(tmp_path / "x.ckpt"))
    assert content["epoch"] == 3
    assert torch.equal(content["model"]["weight"], net.weight)


def test_the_same_epoch_has_the_same_order_and_another_has_another():
    engine = L.Engine(accelerator="cpu")
    engine.launch()
    batches = engine.setup_loader(loader(shuffle=True))

    def order(epoch):
        return torch.cat([x for x, _ in batches.iterate(epoch)]).tolist()

    assert order(0) == order(0)
    assert order(0) != order(1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_auto_is_the_cpu_where_there_is_nothing_else():
    assert choose_accelerator("cpu") == "cpu"
    for name in ("cuda", "gpu"):
        with pytest.raises(L.MisconfigurationError, match="no such device"):
            choose_accelerator(name)


@pytest.mark.parametrize("name", ["tpu", "hpu", "xla"])
def test_other_accelerators_are_refused_by_name(name):
    with pytest.raises(L.MisconfigurationError, match=f"'{name}' is not supported"):
        choose_accelerator(name)


@pytest.mark.parametrize(
    ("devices", "chosen"),
    [("auto", [0]), (None, [0]), (3, [0, 1, 2]), ("2", [0, 1]), ([0], [0])],
)
def test_devices_of_the_cpu_are_processes(devices, chosen):
    assert choose_devices(devices, "cpu") == chosen


@pytest.mark.parametrize("devices", [0, -2, "many", True, 1.5, [], [3]])
def test_what_is_no_number_of_devices_is_refused(devices):
    with pytest.raises(L.MisconfigurationError, match="devices="):
        choose_devices(devices, "cpu")


def test_several_machines_need_a_launcher():
    engine = L.Engine(accelerator="cpu", devices=1, num_nodes=2, strategy="ddp")
    with pytest.raises(L.MisconfigurationError, match="torchrun"):
        engine.launch()


def test_under_a_launcher_the_number_of_processes_is_its_own(monkeypatch):
    for name, value in {
        "RANK": "1",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
    }.items():
        monkeypatch.setenv(name, value)
    engine = L.Engine(accelerator="cpu")
    assert (engine.rank, engine.world_size, engine.is_global_zero) == (1, 2, False)
    with pytest.raises(L.MisconfigurationError, match="started 2 processes"):
        L.Engine(accelerator="cpu", devices=3)


def test_batches_keep_their_types_on_the_way():
    class Own:
        def to(self, device):
            return ("moved", device)

    cpu = torch.device("cpu")
    nest = OrderedDict(a=(torch.ones(1), [None, "text"]), b=Own())
    moved = move_batch(nest, cpu)
    assert type(moved) is OrderedDict
    lists = move_batch(defaultdict(list, a=torch.ones(1)), cpu)
    assert (type(lists), lists["a"], lists["new"]) == (defaultdict, torch.ones(1), [])
    assert moved["a"][1] == [None, "text"]
    assert moved["b"] == ("moved", cpu)


def test_a_batch_that_moves_itself_may_return_nothing():
    class InPlace:
        def to(self, device):
            self.device = device

    batch, cpu = InPlace(), torch.device("cpu")
    assert move_batch(batch, cpu) is batch
    assert batch.device == cpu
