import pytest

from scaffold.wiring import ShapeError
from scaffold.wiring.py_argument import AddArgument

EDIT = AddArgument("train.py", "CLI", "subclass_mode_data", "True")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            'if __name__ == "__main__":\n    CLI(Model, Data)  # go\n',
            'if __name__ == "__main__":\n'
            "    CLI(Model, Data, subclass_mode_data=True)  # go\n",
        ),
        (
            'x = CLI("ä", run=False)\n',
            'x = CLI("ä", run=False, subclass_mode_data=True)\n',
        ),
        (
            "CLI(\n    Model,\n    Data,\n)\n",
            "CLI(\n    Model,\n    Data, subclass_mode_data=True,\n)\n",
        ),
    ],
)
def test_it_comes_last_and_goes_again(before: str, after: str) -> None:
    assert not EDIT.is_applied(before)
    assert EDIT.apply(before) == after
    assert EDIT.is_applied(after)
    assert EDIT.revert(after) == before


def test_it_goes_from_between_others() -> None:
    text = "CLI(A, subclass_mode_data=True, run=False)\n"
    assert EDIT.revert(text) == "CLI(A, run=False)\n"


def test_another_value_is_the_user_s() -> None:
    text = "CLI(A, subclass_mode_data=mode)\n"
    assert EDIT.is_changed(text)
    assert not EDIT.is_applied(text)
    assert not EDIT.is_changed("CLI(A)\n")


@pytest.mark.parametrize("text", ["", "CLI()\n", "CLI(A)\nCLI(B)\n", "main(A)\n"])
def test_a_call_that_is_not_there_is_not_guessed(text: str) -> None:
    with pytest.raises(ShapeError):
        EDIT.apply(text)


def test_the_snippet() -> None:
    assert EDIT.snippet() == (
        "subclass_mode_data=True",
        "the call of CLI in train.py",
    )
