"""What a project's README promises: its commands, its three lines, its own tests."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

from tests.projects.command import metric, run


def test_the_own_tests_pass(project: Path) -> None:
    assert " passed" in run(project, "python", "-m", "pytest", "-q")


def test_the_commands_of_the_start_work(trained: Path) -> None:
    readme = (trained / "README.md").read_text()
    lines = re.findall(r"^python train\.py .*$", readme, re.M)
    start = [shlex.split(line, comments=True) for line in lines]
    assert [words[2] for words in start] == ["fit", "test", "predict"]
    report = run(trained, *start[1])
    assert re.search(r"^class +precision +recall +F1 +images$", report, re.M)
    assert re.search(r"^9( +[01]\.\d{3}){3} +45$", report, re.M)
    assert list(trained.glob("runs/*/confusion.png"))
    assert list(trained.glob("runs/*/wrong.png"))
    prediction = run(trained, *start[2])
    assert re.search(r"^data/example\.png: 7 \(\d+\.\d%\)$", prediction, re.M)


def test_the_three_lines_that_use_the_model_work(trained: Path) -> None:
    use = re.search(r"```python\n(.*?)```", (trained / "README.md").read_text(), re.S)
    assert use is not None
    assert re.search(r"\('7', 0\.\d+\)", run(trained, "python", "-c", use[1]))


def test_three_epochs_are_better_than_chance_by_far(trained: Path) -> None:
    table = run(trained, "python", "train.py", "validate", "--ckpt_path", "best")
    assert metric(table, "val_acc") > 0.7


def test_a_run_that_was_stopped_goes_on(project: Path) -> None:
    fit = ["python", "train.py", "fit", "--config", "configs/debug.yaml"]
    run(project, *fit, "--trainer.max_epochs", "1")
    resumed = run(project, *fit, "--ckpt_path", "last")
    assert "version_0" in resumed
    with (project / "runs" / "version_1" / "metrics.csv").open() as table:
        epochs = {row["epoch"] for row in csv.DictReader(table)}
    assert epochs == {"1"}


def test_an_edited_model_trains(project: Path) -> None:
    model = project / "my_digits" / "model.py"
    model.write_text(model.read_text().replace("nn.ReLU()", "nn.GELU()"))
    run(project, "python", "train.py", "fit", "--config", "configs/debug.yaml")


def test_it_runs_from_another_folder(project: Path, tmp_path: Path) -> None:
    digits = ["--data.path", str(project / "data" / "digits")]
    debug = ["--config", str(project / "configs" / "debug.yaml")]
    run(tmp_path, "python", str(project / "train.py"), "fit", *debug, *digits)
    assert (tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt").is_file()
