"""Real command lines: a script of its own process, its output and its exit code."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
SCRIPT = """
from scaffold_runtime.cli import CLI
from tests.runtime.cli.project import Data, OwnOptimizer

class Model(OwnOptimizer):
    def on_train_batch_start(self, batch, batch_idx):
        {fault}

if __name__ == "__main__":
    CLI(Model, Data)
"""
QUIET = [
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.max_epochs=1",
]


@pytest.fixture
def script(folder):
    """Write the script, which may have a fault in its training step, and run it."""

    def run(*words, fault="pass"):
        (folder / "train.py").write_text(SCRIPT.format(fault=fault))
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'runtime'}",
            "OMP_NUM_THREADS": "1",
        }
        return subprocess.run(
            [sys.executable, "train.py", *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def run_folder(folder):
    (found,) = folder.glob("lightning_logs/version_*")
    return found


def test_it_trains_from_a_config(script, folder):
    (folder / "config.yaml").write_text("trainer: {max_epochs: 9}\nmodel: {width: 2}\n")
    done = script("fit", "--config", "config.yaml", *QUIET)
    assert done.returncode == 0, done.stderr
    saved = yaml.safe_load((run_folder(folder) / "config.yaml").read_text())
    assert saved["model"]["width"] == 2
    assert saved["trainer"]["max_epochs"] == 1
    assert list(run_folder(folder).rglob("*.ckpt"))


def test_a_mistake_on_the_command_line_ends_with_2(script):
    done = script("fit", "--trainer.max_epoch=3")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "--trainer.max_epoch is no option: did you mean --trainer.max_epochs?\n"
    )


def test_missing_data_ends_with_1_and_one_sentence(script, folder):
    done = script("fit", "--data.folder=nowhere", *QUIET)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "There is no folder nowhere: give another."
    assert "Traceback" not in done.stderr
    assert not (folder / "lightning_logs").exists()


def test_a_bug_ends_with_1_and_its_traceback(script, folder):
    done = script("fit", *QUIET, fault="1 / 0")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    record = json.loads((run_folder(folder) / "run.json").read_text())
    assert record["ended"] == "failed: ZeroDivisionError: division by zero"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to handle")
def test_a_stop_ends_with_the_signal_s_code(script, folder):
    fault = f"import os; os.kill(os.getpid(), {int(signal.SIGTERM)})"
    done = script("fit", *QUIET, fault=fault)
    assert done.returncode == 143, done.stderr
    assert "Traceback" not in done.stderr
    record = json.loads((run_folder(folder) / "run.json").read_text())
    assert record["ended"] == "interrupted by SIGTERM"


def test_of_two_processes_one_writes(script, folder):
    words = ["--trainer.strategy=ddp", "--trainer.devices=2"]
    done = script("fit", *QUIET, *words)
    assert done.returncode == 0, done.stderr
    record = json.loads((run_folder(folder) / "run.json").read_text())
    assert record["world_size"] == 2
    assert record["ended"] == "completed: max_epochs=1"
    saved = yaml.safe_load((run_folder(folder) / "config.yaml").read_text())
    assert saved["trainer"]["devices"] == 2


def test_help_is_readable_and_imports_little(script):
    watch = (
        "import atexit, sys; atexit.register(lambda: print('HEAVY', *sorted("
        "{'torch._dynamo', 'tensorboard', 'torchmetrics', 'lightning',"
        " 'torch.distributed.checkpoint', 'torch.onnx', 'rich'} & set(sys.modules))))"
    )
    done = script("fit", "--help", fault=f"pass\n\n{watch}\n")
    assert done.returncode == 0
    assert "stop after so many epochs" in done.stdout
    assert "--model.learning_rate" in done.stdout
    assert "<class" not in done.stdout
    assert done.stdout.splitlines()[-1] == "HEAVY"
