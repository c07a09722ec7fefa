"""`train.py`, with the configuration that trains a few batches."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]
DEBUG = ["--config", "configs/debug.yaml"]


def train(command: str, runs: Path, *arguments: str) -> str:
    """What `python train.py COMMAND ...` prints; its runs go to another folder."""
    elsewhere = [
        "--trainer.logger=scaffold_runtime.loggers.CSVLogger",
        f"--trainer.logger.save_dir={runs}",
        "--trainer.logger.name=runs",
    ]
    done = subprocess.run(
        [sys.executable, "train.py", command, *DEBUG, *elsewhere, *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_fit_then_test_then_predict(images: Path, tmp_path: Path) -> None:
    source = ["--data.path", str(images)]
    train("fit", tmp_path, *source)
    run = tmp_path / "runs" / "version_0"
    assert (run / "samples" / "epoch=1.png").is_file()
    checkpoint = ["--ckpt_path", str(run / "checkpoints" / "best.ckpt")]

    assert "test_mmd" in train("test", tmp_path, *source, *checkpoint)

    said = train("predict", tmp_path, *source, *checkpoint)
    generated = tmp_path / "runs" / "version_2" / "generated"
    assert f"images of each class: {generated}" in said
    names = {str(file.relative_to(generated)) for file in generated.rglob("*.png")}
    classes = ("dark", "dim", "light")
    assert names == {f"{name}/{number}.png" for name in classes for number in "01"}
