from itertools import permutations
from pathlib import Path

import pytest

from scaffold.errors import ScaffoldError, UsageError
from tests.scaffold.components import add, config, remove, snapshot, undo

TITLES = [
    ("callback", "grad-norm"),
    ("callback", "early-stopping"),
    ("logger", "wandb"),
]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_removed_in_any_order_the_tree_is_as_new(
    project: Path, order: tuple[int, ...]
) -> None:
    before = snapshot(project)
    for kind, name in TITLES:
        add(kind, name)
    for index in order:
        remove(*TITLES[index])
    assert snapshot(project) == before


def test_an_edited_file_is_kept(project: Path) -> None:
    add("callback", "grad-norm")
    path = project / "tests" / "test_grad_norm.py"
    path.write_text("# mine\n")
    plan = remove("callback", "grad-norm")
    assert path.read_text() == "# mine\n"
    assert not (project / "digits" / "callbacks").exists()
    assert "kept: tests/test_grad_norm.py" in plan.notes[0]


def test_an_edited_config_loses_only_the_item(project: Path) -> None:
    add("callback", "grad-norm")
    path = project / "configs" / "default.yaml"
    path.write_text("# mine\n" + path.read_text().replace("epochs: 3", "epochs: 9"))
    remove("callback", "grad-norm")
    assert path.read_text().startswith("# mine\n")
    assert config(project) == {"trainer": {"max_epochs": 9, "callbacks": []}}


def test_an_item_that_the_user_changed_is_left_to_them(project: Path) -> None:
    add("callback", "early-stopping")
    path = project / "configs" / "default.yaml"
    path.write_text(path.read_text().replace("patience: 3", "patience: 7"))
    plan = remove("callback", "early-stopping")
    assert plan.exit_code == 3
    assert "remove this from the list trainer.callbacks" in plan.notes[0]
    assert config(project)["trainer"]["callbacks"][0]["init_args"]["patience"] == 7


def test_something_that_needs_it_is_named(project: Path) -> None:
    add("callback", "grad-norm")
    model = project / "digits" / "model.py"
    model.write_text("from digits.callbacks.grad_norm import GradNorm\n")
    before = snapshot(project)
    with pytest.raises(
        ScaffoldError, match=r"digits/model\.py needs callback grad-norm"
    ):
        remove("callback", "grad-norm")
    assert snapshot(project) == before


@pytest.mark.parametrize("name", ["grad-nrom", "{{ x }}", "a\nb", ""])
def test_an_unknown_component(project: Path, name: str) -> None:
    add("callback", "grad-norm")
    with pytest.raises(UsageError, match="this project has no") as error:
        remove("callback", name)
    assert str(error.value).isprintable()


def test_a_removal_can_be_undone(project: Path) -> None:
    add("callback", "grad-norm")
    before = snapshot(project)
    remove("callback", "grad-norm")
    undo()
    assert snapshot(project) == before
