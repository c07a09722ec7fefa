from pathlib import Path

import pytest

from scaffold import catalog, layers
from scaffold.errors import TemplateError
from scaffold.template import Template


def test_sources_are_those_of_all_layers(tiny: Template) -> None:
    found = layers.sources(tiny)
    assert {"train.py", "{{ package }}/model.py", "launch/ddp.sh"} <= set(found)
    assert layers.sources(tiny, "parts").keys() == {"dependencies"}


def test_the_same_path_in_two_layers_is_refused(own_house: Path) -> None:
    files = own_house / "templates" / "tasks" / "tiny" / "files"
    (files / "train.py").write_text("pass\n")
    with pytest.raises(TemplateError, match=r"files/train\.py is in two folders"):
        layers.sources(catalog.task("tiny"))


def test_what_tools_leave_behind_is_no_template(own_house: Path) -> None:
    cache = own_house / "templates" / "project" / "files" / "__pycache__"
    cache.mkdir()
    (cache / "train.cpython-311.pyc").write_bytes(b"\0")
    assert not any(
        "__pycache__" in name for name in layers.sources(catalog.task("tiny"))
    )


def test_conditions_name_the_files_that_an_answer_decides(tiny: Template) -> None:
    assert layers.conditions(tiny) == {
        "launch/ddp.sh": "launchers",
        "{{ package }}/folder.py": "data == 'folder'",
    }
