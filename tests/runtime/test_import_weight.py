"""`import scaffold_runtime` imports little beyond torch: what is heavy waits for its user."""

import subprocess
import sys
from pathlib import Path

import pytest

RUNTIME = Path(__file__).parents[2] / "runtime"
HEAVY = {
    "jsonargparse",
    "lightning",
    "mlflow",
    "numpy",
    "rich",
    "tensorboard",
    "torch._dynamo",
    "torch.distributed.checkpoint",
    "torch.distributed.fsdp",
    "torch.utils.tensorboard",
    "torchmetrics",
    "tqdm",
    "transformers",
    "wandb",
    "yaml",
}
REPORT = """
import sys
import torch
before = set(sys.modules)
import {name}
print(*set(sys.modules) - before)
"""


@pytest.mark.parametrize(
    "name",
    [
        "scaffold_runtime",
        "scaffold_runtime.callbacks",
        "scaffold_runtime.loggers",
        "scaffold_runtime.strategies",
    ],
)
def test_import_is_light(name):
    result = subprocess.run(
        [sys.executable, "-c", REPORT.format(name=name)],
        env={"PYTHONPATH": str(RUNTIME)},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(result.stdout.split())
    assert name in imported
    assert imported & HEAVY == set()


@pytest.mark.parametrize(
    ("shell", "freezes"), [("", True), ("sys.ps1 = '>>> '", False)]
)
def test_a_scripts_command_line_looks_through_what_torch_loaded_no_more(shell, freezes):
    """In a shell or a notebook there may be garbage by then."""
    code = f"import gc, sys\n{shell}\nimport scaffold_runtime.cli\nprint(gc.get_freeze_count())"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(RUNTIME)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (int(result.stdout) > 100_000) == freezes
