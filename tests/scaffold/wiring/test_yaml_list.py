from typing import Any

import pytest
import yaml

from scaffold.wiring import ShapeError
from scaffold.wiring.yaml_list import AddListItem

ITEM = {"class_path": "p.G", "init_args": {"every": 10, "name": "no", "xs": ["a", "b"]}}
EDIT = AddListItem("configs/default.yaml", "trainer.callbacks", ITEM)

BLOCK = """\
- class_path: p.G
  init_args:
    every: 10
    name: "no"
    xs: [a, b]
"""


def indented(column: int) -> str:
    return "".join(f"{' ' * column}{line}\n" for line in BLOCK.splitlines())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "trainer:\n  callbacks:\n    - class_path: A # why\n      init_args:\n"
            "        x: 1 # c\n    # a comment\n\n  # about log\n  log: 1\n",
            "trainer:\n  callbacks:\n    - class_path: A # why\n      init_args:\n"
            f"        x: 1 # c\n{indented(4)}    # a comment\n\n  # about log\n  log: 1\n",
        ),
        (
            "trainer:\n  callbacks:\n  - A\n  - B\nx: 1",
            f"trainer:\n  callbacks:\n  - A\n  - B\n{indented(2)}x: 1\n",
        ),
        (
            "trainer:\n  callbacks: [] # none yet\n  log: 1\n",
            f"trainer:\n  callbacks: # none yet\n{indented(4)}  log: 1\n",
        ),
        (
            "trainer:\n  callbacks: # none\n  log: 1\n",
            f"trainer:\n  callbacks: # none\n{indented(4)}  log: 1\n",
        ),
        ("trainer:\n  callbacks: null\n", f"trainer:\n  callbacks:\n{indented(4)}"),
        (
            "trainer:\n  log: 1\n\n# end\n",
            f"trainer:\n  log: 1\n  callbacks:\n{indented(4)}\n# end\n",
        ),
        (
            "trainer:\n  callbacks:\n    class_path: A\n    init_args:\n"
            "      d: . # c\n\n      e: 2\n  # more\n  x: 1\n",
            "trainer:\n  callbacks:\n    - class_path: A\n      init_args:\n"
            f"        d: . # c\n\n        e: 2\n{indented(4)}  # more\n  x: 1\n",
        ),
    ],
    ids=["block", "flush", "empty", "key", "null", "missing", "mapping"],
)
def test_the_item_comes_last_and_nothing_else_changes(before: str, after: str) -> None:
    assert not EDIT.is_applied(before)
    assert EDIT.apply(before) == after
    assert EDIT.is_applied(after)


@pytest.mark.parametrize(
    "text",
    [
        "trainer:\n  callbacks:\n    - class_path: A # why\n\n    # c\n  log: 1\n",
        "trainer:\n  callbacks:\n  - A\nx: 1\n",
        "trainer:\n  callbacks: [] # none yet\n",
    ],
)
def test_revert_takes_back_exactly_that(text: str) -> None:
    assert EDIT.revert(EDIT.apply(text)) == text


def test_revert_finds_the_item_between_others() -> None:
    text = f"trainer:\n  callbacks:\n    - A\n{indented(4)}    # about B\n    - B\n"
    assert EDIT.revert(text) == (
        "trainer:\n  callbacks:\n    - A\n    # about B\n    - B\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "x: 1\n",
        "trainer: {}\n",
        "trainer: {callbacks: []}\n",
        "trainer:\n  callbacks: [a]\n",
        "trainer:\n  callbacks: true\n",
        "- trainer\n",
        "",
        "trainer: &t\n  x: 1\nother: *t\n<<: *t\n",
    ],
)
def test_a_place_that_is_not_there_is_not_guessed(text: str) -> None:
    try:
        changed = EDIT.apply(text)
    except ShapeError:
        return
    expected = yaml.safe_load(text)
    expected["trainer"]["callbacks"] = [ITEM]
    assert yaml.safe_load(changed)["trainer"]["callbacks"] == [ITEM]


@pytest.mark.parametrize(
    ("item", "changed"),
    [
        ({"class_path": "p.G"}, True),
        (ITEM, False),
        ({"class_path": "p.H"}, False),
        ("p.G", False),
    ],
)
def test_an_item_of_the_same_class_with_other_arguments_is_the_user_s(
    item: Any, changed: bool
) -> None:
    assert (
        EDIT.is_changed(yaml.safe_dump({"trainer": {"callbacks": [item]}})) is changed
    )


def test_the_snippet_can_be_pasted() -> None:
    text, place = EDIT.snippet()
    assert yaml.safe_load(text) == [ITEM]
    assert place == "the list trainer.callbacks of configs/default.yaml"
