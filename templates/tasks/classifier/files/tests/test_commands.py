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
    checkpoint = str(tmp_path / "runs" / "version_0" / "checkpoints" / "best.ckpt")

    report = train("test", tmp_path, *source, "--ckpt_path", checkpoint)
    assert "precision" in report
    assert list(tmp_path.rglob("confusion.png"))

    source += ["--data.predict_path", str(images / "dark")]
    prediction = train("predict", tmp_path, *source, "--ckpt_path", checkpoint)
    assert f"{images / 'dark' / '0.png'}: " in prediction
