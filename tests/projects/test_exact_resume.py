"""A generated classifier, saved at every step and resumed from each, ends bitwise equal."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from tests.projects.conftest import Make
from tests.reliability.recorded_run import SaveEverywhere, differences, fit, outcome


class SaveEveryStep(SaveEverywhere):
    def save(self, trainer: Any, place: str) -> None:
        if place == "train_batch_end":
            super().save(trainer, place)


@pytest.fixture
def train(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Trains the classifier for two epochs of eight steps, augmentation and all."""
    monkeypatch.syspath_prepend(str(make({})))
    monkeypatch.chdir(make({}))
    data = importlib.import_module("my_digits.data").Data
    model = importlib.import_module("my_digits.model").Model

    def run(*callbacks: Any, ckpt_path: Path | None = None) -> Any:
        digits = data(batch_size=16)
        options = {"limit_train_batches": 8, "limit_val_batches": 1}
        return fit(
            tmp_path,
            *callbacks,
            net=lambda: model(
                digits.image_shape, digits.classes, widths=(8, 16), warmup_steps=2
            ),
            data=digits,
            ckpt_path=ckpt_path,
            **options,
        )

    return run


def resume_everywhere(train: Any, folder: Path, places: slice) -> None:
    expected = outcome(train())
    saves = SaveEveryStep(folder)
    assert differences(expected, outcome(train(saves))) == []
    assert len(saves.written) == 16
    for path in saves.written[places]:
        resumed = outcome(train(ckpt_path=path))
        assert differences(expected, resumed) == [], path.name


def test_resumed_at_a_sample_of_steps(train: Any, tmp_path: Path) -> None:
    resume_everywhere(train, tmp_path, slice(2, None, 6))


@pytest.mark.full
def test_resumed_at_every_step(train: Any, tmp_path: Path) -> None:
    resume_everywhere(train, tmp_path, slice(None))
