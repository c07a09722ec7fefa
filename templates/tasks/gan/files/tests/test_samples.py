"""The sheet of samples."""

from collections.abc import Callable
from pathlib import Path

import pytest
import scaffold_runtime as L
import torch
from PIL import Image
from scaffold_runtime.loggers import CSVLogger

from {{ package }}.callbacks import SampleSheet
from {{ package }}.data import Data
from {{ package }}.figures import contact_sheet, to_pillow
from {{ package }}.model import Model


def test_a_sheet_is_written_after_each_epoch(
    model: Model, data: Data, trainer: Callable[..., L.Trainer], tmp_path: Path
) -> None:
    trainer(max_epochs=2, callbacks=[SampleSheet(columns=4)]).fit(model, data)
    sheets = sorted((tmp_path / "samples").iterdir())
    assert [sheet.name for sheet in sheets] == ["epoch=0.png", "epoch=1.png"]
    with Image.open(sheets[0]) as first, Image.open(sheets[1]) as second:
        assert first.size == second.size == (4 * 52, 3 * 52)
        assert first.tobytes() != second.tobytes()


def test_a_logger_that_is_away_does_not_end_the_training(
    model: Model,
    data: Data,
    trainer: Callable[..., L.Trainer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: object) -> None:
        raise OSError("no server")

    monkeypatch.setattr("{{ package }}.callbacks.samples.log_image", away)
    sheet, logger = SampleSheet(columns=2), CSVLogger(tmp_path)
    with pytest.warns(UserWarning, match="not logged: no server"):
        trainer(max_epochs=1, callbacks=[sheet], logger=logger).fit(model, data)
    assert len(list(tmp_path.rglob("epoch=0.png"))) == 1


def test_the_noise_is_always_the_same_and_the_training_s_is_left_alone(
    model: Model,
) -> None:
    state = torch.get_rng_state()
    sheet = SampleSheet().draw(model)
    assert torch.equal(SampleSheet().draw(model), sheet)
    assert torch.equal(torch.get_rng_state(), state)


def test_images_stand_row_by_row_in_their_size_and_colours() -> None:
    images = torch.zeros(3, 3, 4, 2)
    images[1, 0] = 1.0
    sheet = to_pillow(contact_sheet(images, columns=2))
    assert sheet.mode == "RGB"
    assert sheet.size == (2 * (2 * 12 + 4), 2 * (4 * 12 + 4))
    assert sheet.getpixel((28 + 14, 26)) == (255, 0, 0)
    assert sheet.getpixel((14, 26)) == sheet.getpixel((42, 78)) == (0, 0, 0)
