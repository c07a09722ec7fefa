"""The same tiny training under a raw loop, this runtime and its peers.

A 32-32-2 MLP, batch 8, AdamW with default arguments: so little arithmetic that what a
trainer adds to each step is what is left to see. Every contender is a function of
``on_step``, which it calls at the start of each training step: to count or to time.
"""

import contextlib
import io
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

WARM_UP = 60
STEPS = 200
BATCH_SIZE = 8

OnStep = Callable[[], None]
Contender = Callable[[OnStep], None]


class Calls:
    """Counts the Python calls of `STEPS` whole steps after `WARM_UP` steps."""

    def __init__(self) -> None:
        self.steps = 0
        self.calls = 0

    def __call__(self) -> None:
        self.steps += 1
        if self.steps == WARM_UP:
            sys.setprofile(self._count)
        elif self.steps == WARM_UP + STEPS:
            sys.setprofile(None)

    def _count(self, frame: types.FrameType, event: str, arg: object) -> None:
        self.calls += event == "call"


class Clock:
    """Times `STEPS` whole steps after `WARM_UP` steps."""

    def __init__(self) -> None:
        self.steps = 0
        self.seconds = 0.0

    def __call__(self) -> None:
        self.steps += 1
        if self.steps == WARM_UP:
            self.seconds = -time.perf_counter()
        elif self.steps == WARM_UP + STEPS:
            self.seconds += time.perf_counter()


def calls_per_step(contender: Contender) -> float:
    """The mean number of Python calls in one training step of `contender`."""
    calls = Calls()
    with quiet():
        contender(calls)
    assert calls.steps > WARM_UP + STEPS
    return calls.calls / STEPS


def seconds_per_step(contender: Contender) -> float:
    """The mean wall time of one training step of `contender`, in seconds."""
    clock = Clock()
    with quiet():
        contender(clock)
    assert clock.steps > WARM_UP + STEPS
    return clock.seconds / STEPS


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what trainers print and warn out of the report."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def network() -> nn.Module:
    """A 32-32-2 MLP."""
    return nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))


def loader() -> DataLoader[tuple[Tensor, ...]]:
    """A shuffled loader that is longer than what is measured."""
    samples = BATCH_SIZE * (WARM_UP + STEPS + 20)
    data = TensorDataset(torch.randn(samples, 32), torch.randint(2, (samples,)))
    return DataLoader(data, batch_size=BATCH_SIZE, shuffle=True)


def raw(on_step: OnStep) -> None:
    """The loop that everybody writes first."""
    model = network()
    optimizer = torch.optim.AdamW(model.parameters())
    for x, y in loader():
        on_step()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()


def module(api: Any, on_step: OnStep, log: bool) -> Any:
    """The module for `api`, which is this runtime or Lightning."""

    class Net(api.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network()

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            on_step()
            x, y = batch
            loss = nn.functional.cross_entropy(self.network(x), y)
            if log:
                self.log("loss", loss, prog_bar=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters())

    return Net()


OFF: dict[str, Any] = {
    "enable_progress_bar": False,
    "logger": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


def ours_off(on_step: OnStep) -> None:
    """This runtime without the optional things."""
    import scaffold_runtime

    trainer = scaffold_runtime.Trainer(
        max_epochs=1, accelerator="cpu", check_finite=False, **OFF
    )
    trainer.fit(module(scaffold_runtime, on_step, log=False), loader())


def ours_defaults(on_step: OnStep) -> None:
    """This runtime as it comes, with a log line per step."""
    import scaffold_runtime
    from scaffold_runtime.loggers import CSVLogger

    with tempfile.TemporaryDirectory() as folder:
        trainer = scaffold_runtime.Trainer(
            max_epochs=1, accelerator="cpu", logger=CSVLogger(folder)
        )
        trainer.fit(module(scaffold_runtime, on_step, log=True), loader())


def lightning_off(on_step: OnStep) -> None:
    """Lightning without the optional things."""
    import lightning

    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", **OFF)
    trainer.fit(module(lightning, on_step, log=False), loader())


def lightning_defaults(on_step: OnStep) -> None:
    """Lightning as it comes, with a log line per step."""
    import lightning
    from lightning.pytorch.loggers import CSVLogger

    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            max_epochs=1, accelerator="cpu", logger=CSVLogger(folder)
        )
        trainer.fit(module(lightning, on_step, log=True), loader())


def fabric(on_step: OnStep) -> None:
    """Lightning's low layer: there is nothing optional to turn off."""
    import lightning

    api = lightning.Fabric(accelerator="cpu", devices=1)
    net = network()
    model, optimizer = api.setup(net, torch.optim.AdamW(net.parameters()))
    for x, y in api.setup_dataloaders(loader()):
        on_step()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        api.backward(loss)
        optimizer.step()


def accelerate(on_step: OnStep) -> None:
    """Accelerate: there is nothing optional to turn off."""
    import accelerate as package

    api = package.Accelerator(cpu=True)
    net = network()
    model, optimizer, batches = api.prepare(
        net, torch.optim.AdamW(net.parameters()), loader()
    )
    for x, y in batches:
        on_step()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        api.backward(loss)
        optimizer.step()
