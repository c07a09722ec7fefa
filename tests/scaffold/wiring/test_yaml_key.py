import pytest

from scaffold.wiring import ShapeError
from scaffold.wiring.yaml_key import SetKey

EDIT = SetKey("configs/default.yaml", "trainer.profiler", "simple")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "trainer:\n  x: 1 # why\n\n# end\n",
            "trainer:\n  x: 1 # why\n  profiler: simple\n\n# end\n",
        ),
        (
            "trainer:\n    x:\n        - y: 1\ndata: 2",
            "trainer:\n    x:\n        - y: 1\n    profiler: simple\ndata: 2\n",
        ),
    ],
)
def test_the_key_comes_last_and_goes_again(before: str, after: str) -> None:
    assert not EDIT.is_applied(before)
    assert EDIT.apply(before) == after
    assert EDIT.is_applied(after)
    assert not EDIT.is_changed(after)
    assert EDIT.revert(after).strip() == before.strip()


@pytest.mark.parametrize(
    "text", ["", "x: 1\n", "trainer: {}\n", "trainer:\n  profiler: advanced\n"]
)
def test_no_place_or_another_value_is_not_guessed(text: str) -> None:
    with pytest.raises(ShapeError):
        EDIT.apply(text)


def test_another_value_is_the_user_s() -> None:
    assert EDIT.is_changed("trainer:\n  profiler: advanced\n")
    assert not EDIT.is_changed("trainer:\n  profiler:\n")


def test_the_snippet() -> None:
    assert EDIT.snippet() == ("profiler: simple", "trainer in configs/default.yaml")
