import json

from tests.scaffold.command_line import Run


def test_list(scaffold: Run) -> None:
    assert "  tiny  The smallest task there is" in scaffold("list").out.splitlines()


def test_list_as_json(scaffold: Run) -> None:
    [task] = json.loads(scaffold("list", "--json").out)["tasks"]
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


def test_show(scaffold: Run) -> None:
    lines = scaffold("show", "tiny").out.splitlines()
    assert "  --width      Channels of the first layer [32]" in lines
    assert "  {{ package }}/folder.py    only if data == 'folder'" in lines


def test_show_as_json(scaffold: Run) -> None:
    shown = json.loads(scaffold("show", "tiny", "--json").out)
    assert "train.py" in shown["files"]
    assert len(shown["questions"]) == 6


def test_show_of_an_unknown_task(scaffold: Run) -> None:
    done = scaffold("show", "tinny")
    assert (done.code, done.out) == (2, "")
    assert "did you mean 'tiny'?" in done.err
