import pytest

from scaffold.wiring import ShapeError
from scaffold.wiring.py_import import AddImport

EDIT = AddImport("p/model.py", "from p.recall import Recall")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '"""Doc."""\n\nimport math\n\nfrom p.images import Shape\n\nX = 1\n',
            '"""Doc."""\n\nimport math\n\nfrom p.images import Shape\n'
            "from p.recall import Recall\n\nX = 1\n",
        ),
        (
            "from p.images import (\n    A,\n    B,\n)\nfrom p.sizes import C\n",
            "from p.images import (\n    A,\n    B,\n)\nfrom p.recall import Recall\n"
            "from p.sizes import C\n",
        ),
    ],
)
def test_it_joins_the_last_block_in_order(before: str, after: str) -> None:
    assert not EDIT.is_applied(before)
    assert EDIT.apply(before) == after
    assert EDIT.is_applied(after)
    assert EDIT.revert(after) == before


def test_an_import_with_others_is_the_user_s() -> None:
    text = "from p.recall import Other, Recall\n"
    assert EDIT.is_applied(text)
    assert EDIT.is_changed(text)
    with pytest.raises(ShapeError):
        EDIT.revert(text)


def test_a_file_without_imports_is_not_guessed() -> None:
    with pytest.raises(ShapeError):
        EDIT.apply("x = 1\n")


def test_the_snippet() -> None:
    assert EDIT.snippet() == (EDIT.statement, "the imports of p/model.py")
