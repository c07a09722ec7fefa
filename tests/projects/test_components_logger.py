"""`scaffold add logger`: each writes by its own library, without a network, into runs/."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold import catalog
from tests.projects.command import run
from tests.scaffold.components import add

LOGGERS = catalog.kind("logger").variants
WRITTEN = {
    "csv": "runs/metrics/version_0/metrics.csv",
    "mlflow": "runs/mlruns/*/*/metrics/val_loss",
    "tensorboard": "runs/tensorboard/version_0/events.out.tfevents.*",
    "wandb": "runs/wandb/offline-run-*/run-*.wandb",
}


def test_all_at_once_write_into_the_folder_of_runs(growing: Path) -> None:
    for package in ("mlflow", "tensorboard", "wandb"):
        pytest.importorskip(package)
    before = {path.name for path in growing.iterdir()}
    for name in LOGGERS:
        add("logger", name)
    needed = (growing / "pyproject.toml").read_text()
    assert all(f'"{name}>=' in needed for name in set(LOGGERS) - {"csv"})
    words = ("python", "train.py", "fit", "--config", "configs/debug.yaml")
    # On a busy machine wandb's service may begin slowly.
    printed = run(growing, *words, WANDB__SERVICE_WAIT="200")
    assert set(WRITTEN) == set(LOGGERS)
    for pattern in WRITTEN.values():
        files = list(growing.glob(pattern))
        assert len(files) == 1, f"{pattern}: {files}\n{printed}"
        assert files[0].stat().st_size > 0
    after = {path.name for path in growing.iterdir() if path.name != "__pycache__"}
    assert after == before | {"runs"}
