import pytest

from scaffold.wiring import ShapeError
from scaffold.wiring.toml_dependency import AddDependency

EDIT = AddDependency("pyproject.toml", "wandb>=0.17")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '[project]\ndependencies = [\n    "torch>=2.10", # why\n    "b",\n]\n\n[x]\n',
            '[project]\ndependencies = [\n    "torch>=2.10", # why\n    "b",\n'
            '    "wandb>=0.17",\n]\n\n[x]\n',
        ),
        (
            '[project]\ndependencies = ["torch"]\n',
            '[project]\ndependencies = ["torch", "wandb>=0.17"]\n',
        ),
        (
            "[project]\ndependencies = []\n",
            '[project]\ndependencies = ["wandb>=0.17"]\n',
        ),
    ],
)
def test_the_requirement_comes_last(before: str, after: str) -> None:
    assert not EDIT.is_applied(before)
    assert EDIT.apply(before) == after
    assert EDIT.is_applied(after)
    assert EDIT.revert(after) == before


@pytest.mark.parametrize("entry", ["wandb", "WandB >= 0.20", "wandb[media]==0.18"])
def test_any_version_of_the_package_will_do(entry: str) -> None:
    text = f'[project]\ndependencies = ["{entry}"]\n'
    assert EDIT.is_applied(text)
    assert EDIT.is_changed(text)
    with pytest.raises(ShapeError):
        EDIT.revert(text)


@pytest.mark.parametrize("text", ["", "[project]\n", '[project]\ndependencies = "a"\n'])
def test_a_place_that_is_not_there_is_not_guessed(text: str) -> None:
    with pytest.raises(ShapeError):
        EDIT.apply(text)
