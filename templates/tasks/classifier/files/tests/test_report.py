"""What a test prints and draws."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from {{ package }}.callbacks import Report
from {{ package }}.callbacks.report import class_table
from {{ package }}.figures import confusion_figure, contact_sheet
from {{ package }}.images import LabelledImages


def test_the_table_has_precision_recall_and_f1_of_each_class() -> None:
    confusion = torch.tensor([[3, 1], [0, 4]])
    header, cat, dog = class_table(confusion, ["cat", "dog"]).splitlines()
    assert header.split() == ["class", "precision", "recall", "F1", "images"]
    assert cat.split() == ["cat", "1.000", "0.750", "0.857", "4"]
    assert dog.split() == ["dog", "0.800", "1.000", "0.889", "4"]


def test_the_report_draws_what_went_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    images = LabelledImages(pixels, [0, 1, 1], ["cat", "dog"])
    probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])

    Report().report(images, probabilities, tmp_path)

    assert "1 of 3 wrong" in capsys.readouterr().out
    with Image.open(tmp_path / "confusion.png") as figure:
        assert figure.width == figure.height
    with Image.open(tmp_path / "wrong.png") as sheet:
        assert sheet.width == 96


def test_long_names_fit_into_the_figures() -> None:
    names = ["a dog that lies on a red sofa", "no dog"]
    figure = confusion_figure(torch.eye(2), ["a", "b"])
    assert confusion_figure(torch.eye(2), names).width > figure.width
    image = torch.zeros(1, 8, 8).byte()
    assert contact_sheet([image], [names[0]]).width > 96


def test_a_faultless_model_has_no_sheet_of_wrong_images(tmp_path: Path) -> None:
    images = LabelledImages(torch.zeros(2, 1, 8, 8).byte(), [0, 1], ["cat", "dog"])
    Report().report(images, torch.eye(2), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["confusion.png"]
