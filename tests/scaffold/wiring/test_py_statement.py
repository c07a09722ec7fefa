import pytest

from scaffold.wiring import ShapeError
from scaffold.wiring.py_statement import AddStatement

INIT = AddStatement("p/model.py", "Model.__init__", "self.recall = Recall(3)")
LOG = AddStatement("p/model.py", "Model.evaluate", 'self.log("recall", self.recall)')
MODEL = """\
class Model(Base):
    def __init__(self) -> None:
        super().__init__()
        self.x = f(  # why
            1
        )

    def evaluate(self, batch):
        y = 1

        return y
"""


def test_it_comes_last() -> None:
    after = MODEL.replace("        )\n", "        )\n        self.recall = Recall(3)\n")
    assert not INIT.is_applied(MODEL)
    assert INIT.apply(MODEL) == after
    assert INIT.is_applied(after)
    assert not INIT.is_changed(after)
    assert INIT.revert(after) == MODEL


def test_it_comes_before_a_return() -> None:
    line = '        self.log("recall", self.recall)\n'
    after = MODEL.replace("        return", f"{line}        return")
    assert LOG.apply(MODEL) == after
    assert LOG.revert(after) == MODEL


def test_another_layout_is_the_same_statement() -> None:
    assert LOG.is_applied(
        LOG.apply(MODEL).replace('log("recall", ', "log(\n'recall',\n")
    )


def test_another_value_is_the_user_s() -> None:
    text = INIT.apply(MODEL).replace("Recall(3)", "Recall(9)")
    assert INIT.is_changed(text)
    assert not INIT.is_applied(text)
    assert not INIT.is_changed(MODEL)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "class Model:\n    x = 1\n",
        "class Model:\n    __init__ = f\n",
        "class Model:\n    def __init__(self): pass\n",
    ],
)
def test_a_function_that_is_not_there_is_not_guessed(text: str) -> None:
    with pytest.raises(ShapeError):
        INIT.apply(text)


def test_a_function_does_not_lose_its_only_statement() -> None:
    text = "class Model:\n    def __init__(self):\n        self.recall = Recall(3)\n"
    with pytest.raises(ShapeError):
        INIT.revert(text)


def test_the_snippet() -> None:
    assert INIT.snippet() == (
        "self.recall = Recall(3)",
        "the end of Model.__init__ in p/model.py",
    )
