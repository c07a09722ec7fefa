"""The GAN: its commands, its digits, and what loggers and processes get of them."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from scaffold import catalog
from scaffold.new import apply_new, plan_new
from tests.projects.command import metric, run
from tests.projects.conftest import Make
from tests.scaffold.components import add

DEBUG = ["--config", "configs/debug.yaml"]
FIT = ["python", "train.py", "fit"]

# Of the nearest real digit, the share that are of the class that was asked for.
RECOGNISED = """
import torch
from my_digits.data import Data
from my_digits.model import Model

model = Model.load_from_checkpoint("runs/version_0/checkpoints/best.ckpt")
train = Data().splits["train"]
real = torch.stack([train[i][0] for i in range(len(train))]).flatten(1)
asked = torch.arange(10).repeat_interleave(50)
torch.manual_seed(0)
drawn = model(torch.randn(500, model.noise_size), asked).flatten(1)
nearest = torch.tensor(train.labels)[torch.cdist(drawn, real).argmin(dim=1)]
print((nearest == asked).float().mean().item())
"""


def distances(project: Path) -> list[float]:
    """`val_mmd` after each epoch of the first run."""
    with (project / "runs" / "version_0" / "metrics.csv").open() as table:
        rows = csv.DictReader(table)
        return [float(row["val_mmd"]) for row in rows if row["val_mmd"]]


@pytest.fixture(scope="module")
def gan(make: Make) -> Path:
    """A GAN with one run of three epochs in it."""
    folder = make({"task": "gan"})
    run(folder, *FIT, "--trainer.max_epochs", "3")
    return folder


@pytest.fixture
def growing_gan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A GAN that components can be added to; it is the current folder."""
    folder = tmp_path / "digits"
    apply_new(plan_new(catalog.task("gan"), folder, "digits", {}))
    monkeypatch.chdir(folder)
    return folder


def test_the_own_tests_pass(make: Make) -> None:
    assert " passed" in run(make({"task": "gan"}), "python", "-m", "pytest", "-q")


def test_the_distance_falls_and_each_epoch_has_a_sheet(gan: Path) -> None:
    first, _, last = distances(gan)
    assert last < 0.8 * first
    for epoch in range(3):
        sheet = gan / "runs" / "version_0" / "samples" / f"epoch={epoch}.png"
        with Image.open(sheet) as image:
            assert image.size == (520, 520)


def test_the_commands_of_the_start_work(gan: Path) -> None:
    readme = (gan / "README.md").read_text()
    lines = re.findall(r"^python train\.py .*$", readme, re.M)
    start = [shlex.split(line, comments=True) for line in lines]
    assert [words[2] for words in start] == ["fit", "test", "predict"]
    assert metric(run(gan, *start[1]), "test_mmd") < 0.5
    said = run(gan, *start[2])
    folder = re.search(r"^images of each class: (\S+)$", said, re.M)
    assert folder is not None
    assert len(list((gan / folder[1]).glob("?/?.png"))) == 100


def test_the_three_lines_that_use_the_model_work(gan: Path) -> None:
    use = re.search(r"```python\n(.*?)```", (gan / "README.md").read_text(), re.S)
    assert use is not None
    run(gan, "python", "-c", use[1])
    with Image.open(gan / "pi.png") as image:
        assert image.width == 3 * image.height


@pytest.mark.full  # the project's own tests compare the gradients
def test_two_processes_train_what_one_does(make: Make) -> None:
    projects = [make({"task": "gan"}) for _ in range(2)]
    run(projects[0], *FIT, *DEBUG)
    run(projects[1], "bash", "launch/ddp.sh", "2", *DEBUG)
    one, two = (
        torch.load(project / "runs/version_0/checkpoints/last.ckpt", weights_only=True)
        for project in projects
    )
    for name, value in one["state_dict"].items():
        other = two["state_dict"][name]
        torch.testing.assert_close(other, value, rtol=1e-3, atol=1e-5, msg=name)


def tensorboard_images(project: Path) -> int:
    """How many sheets TensorBoard has."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = project.rglob("events.out.*")
    accumulator = EventAccumulator(str(events), size_guidance={"images": 0})
    accumulator.Reload()
    return len(accumulator.Images("samples"))


def wandb_images(project: Path) -> int:
    """How many sheets W&B has to upload."""
    return len(list(project.glob("runs/wandb/offline-run-*/**/samples_*.png")))


def mlflow_images(project: Path) -> int:
    """How many sheets MLflow has."""
    return len(list(project.glob("runs/mlruns/**/images/samples*.png")))


@pytest.mark.parametrize(
    ("logger", "images"),
    [
        ("tensorboard", tensorboard_images),
        pytest.param("wandb", wandb_images, marks=pytest.mark.full),
        pytest.param("mlflow", mlflow_images, marks=pytest.mark.full),
    ],
)
def test_a_logger_that_takes_images_gets_the_sheets(
    logger: str, images: Callable[[Path], int], growing_gan: Path
) -> None:
    add("logger", logger)
    run(growing_gan, *FIT, *DEBUG)
    assert images(growing_gan) == 2


@pytest.mark.full
def test_after_the_default_run_the_digits_are_recognised(make: Make) -> None:
    project = make({"task": "gan"})
    run(project, *FIT, timeout=1800)
    fallen = distances(project)
    assert fallen[0] > 0.3
    assert min(fallen[10:20]) < 0.1
    assert max(fallen[60:]) < 0.02
    test = run(project, "python", "train.py", "test", "--ckpt_path", "best")
    found = re.search(r"test_mmd +(-?\d+\.\d+)", test)
    assert found is not None
    assert float(found[1]) < 0.01
    assert float(run(project, "python", "-c", RECOGNISED)) >= 0.95
