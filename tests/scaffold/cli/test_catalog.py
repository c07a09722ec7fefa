import json

import pytest

from tests.scaffold.command_line import Run


def test_list(scaffold: Run) -> None:
    assert scaffold("list").out.splitlines() == [
        "Tasks (scaffold new TASK):",
        "  tiny  The smallest task there is",
        "",
        "Something that happens at a moment of the training (scaffold add callback):",
        "  early-stopping  Stop when a metric gets no better",
        "  starter         A callback of your own",
        "",
        "Where metrics are written (scaffold add logger):",
        "  wandb  Weights & Biases",
    ]


def test_list_as_json(scaffold: Run) -> None:
    listed = json.loads(scaffold("list", "--json").out)
    [task] = listed["tasks"]
    assert task["name"] == "tiny"
    assert task["questions"][2] == {
        "name": "width",
        "flag": "--width",
        "type": "int",
        "default": 32,
        "help": "Channels of the first layer",
        "min": 8,
        "max": 1024,
    }
    callback = listed["kinds"][0]
    assert (callback["name"], callback["default"]) == ("callback", "starter")
    assert [v["name"] for v in callback["variants"]] == ["early-stopping", "starter"]


def test_show(scaffold: Run) -> None:
    lines = scaffold("show", "tiny").out.splitlines()
    assert "  --width      Channels of the first layer [32]" in lines
    assert "  {{ package }}/folder.py    only if data == 'folder'" in lines


def test_show_of_a_component(scaffold: Run) -> None:
    assert scaffold("show", "callback/early-stopping").out.splitlines() == [
        "callback/early-stopping: Stop when a metric gets no better",
        "",
        "Questions:",
        "  --monitor   The metric [val_loss]",
        "  --patience  Epochs to wait [3]",
    ]


def test_show_as_json(scaffold: Run) -> None:
    shown = json.loads(scaffold("show", "tiny", "--json").out)
    assert "train.py" in shown["files"]
    assert len(shown["questions"]) == 6


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tinny", "did you mean 'tiny'?"),
        ("callback/stater", "did you mean 'callback/starter'?"),
        ("a\nb", "choose from"),
    ],
)
def test_show_of_what_is_not_there(scaffold: Run, name: str, message: str) -> None:
    done = scaffold("show", name)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
