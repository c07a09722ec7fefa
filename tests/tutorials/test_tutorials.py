"""Code of the kind a Lightning tutorial has, under Lightning and under ours.

`blocks` holds a project as a tutorial writes it. Only its imports are replaced; the same
must come out.
"""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

BLOCKS = Path(__file__).with_name("blocks")
RUNTIME = Path(__file__).parents[2] / "runtime"
IMPORTS = {
    "import lightning as L": "import scaffold_runtime as L",
    "from lightning.pytorch.": "from scaffold_runtime.",
}


@pytest.fixture(
    params=["ours", pytest.param("lightning", marks=pytest.mark.full)], name="run"
)
def run_in_either(request, tmp_path):
    """A function that runs `python *words` in the project, and gives what it printed."""
    for block in BLOCKS.iterdir():
        text = block.read_text()
        if request.param == "ours" and block.suffix == ".py":
            for theirs, ours in IMPORTS.items():
                text = text.replace(theirs, ours)
        (tmp_path / block.name).write_text(text)

    def run(*words):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(RUNTIME), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        # Lightning may crash when it is done, at the interpreter's exit.
        assert done.returncode in {
            0,
            *([-11] if request.param != "ours" else []),
        }, done.stderr
        return done.stdout

    return run


def test_a_minimal_module(run):
    assert "embeddings (4, 3)" in run("minimal.py")


def test_early_stopping_checkpoints_and_rates(run, tmp_path):
    assert "stopped 2 kept 2" in run("callbacks.py")
    (metrics,) = (tmp_path / "logs/mnist").glob("version_0/metrics.csv")
    with metrics.open() as file:
        rows = list(csv.DictReader(file))
    rates = [float(row["lr-Adam"]) for row in rows if row.get("lr-Adam")]
    assert rates[0] == 0.01 and sorted(rates, reverse=True) == rates and len(rates) == 3
    names = [path.name for path in metrics.parent.glob("checkpoints/*.ckpt")]
    assert len(names) == 2 and all(
        name.startswith("epoch=0") and "-val_loss=" in name for name in names
    )


def test_a_data_module_in_every_entry_point(run):
    printed = run("datamodule.py")
    assert "['val_acc', 'val_loss'] ['test_loss'] [16, 16, 16, 16]" in printed


def test_ddp_from_a_plain_script(run):
    assert run("ddp.py").count("steps 6 of 2 processes") == 1


@pytest.mark.parametrize("run", ["ours"], indirect=True)
def test_fsdp_with_a_wrap_policy(run):
    """Lightning has FSDP on GPUs only."""
    assert run("fsdp.py").count("steps 4") == 1


def test_the_command_line(run, tmp_path):
    run("train.py", "fit", "--config", "config.yaml", "--trainer.max_epochs=30")
    (folder,) = (tmp_path / "lightning_logs").iterdir()
    (best,) = (folder / "checkpoints").glob("*.ckpt")
    assert best.name.startswith("epoch=")
    saved = (folder / "config.yaml").read_text()
    assert "max_epochs: 30" in saved and "hidden_dim: 24" in saved
    printed = run(
        "train.py", "test", "--config", "config.yaml", "--ckpt_path", str(best)
    )
    assert "test_loss" in printed


def test_resume_from_last(run):
    assert "epochs 3 steps 18" in run("resume.py")


def test_load_from_checkpoint(run):
    assert run("load.py").splitlines()[-4:] == [
        "12 0.03",
        "12 0.5",
        "False False",
        "['hidden_dim', 'learning_rate'] 1",
    ]


def test_a_gan_by_manual_optimization(run):
    printed = run("gan.py")
    assert "steps 40 sample (8, 2)" in printed
    assert "['d_loss', 'g_loss']" in printed
