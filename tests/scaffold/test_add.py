from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from scaffold import journal, state
from scaffold.errors import ScaffoldError, UsageError
from tests.scaffold.components import add, config, remove, snapshot


def test_a_name_takes_the_variant_of_that_name(project: Path) -> None:
    add("callback", "early-stopping", patience=5)
    assert config(project)["trainer"]["callbacks"] == [
        {
            "class_path": "scaffold_runtime.callbacks.EarlyStopping",
            "init_args": {"monitor": "val_loss", "patience": 5},
        }
    ]


def test_another_name_takes_the_default_variant(project: Path) -> None:
    add("callback", "grad-norm", hook=["on_fit_end"])
    assert (project / "digits" / "callbacks" / "grad_norm.py").read_text() == (
        'class GradNorm:\n    hooks = ["on_fit_end"]\n'
    )
    assert (project / "tests" / "test_grad_norm.py").is_file()
    assert config(project)["trainer"]["callbacks"] == [
        {"class_path": "digits.callbacks.grad_norm.GradNorm"}
    ]


def test_without_a_name_the_variant_gives_it(project: Path) -> None:
    add("callback")
    assert (project / "digits" / "callbacks" / "starter.py").is_file()


def test_from_names_the_variant(project: Path) -> None:
    add("callback", "patient", variant="early-stopping", patience=50)
    [callback] = config(project)["trainer"]["callbacks"]
    assert callback["init_args"]["patience"] == 50


def test_dependencies_are_wired_too(project: Path) -> None:
    add("logger")
    assert '"wandb>=0.17"' in (project / "pyproject.toml").read_text()


def test_adding_twice_changes_nothing(project: Path) -> None:
    add("callback", "grad-norm")
    before = snapshot(project)
    plan = add("callback", "grad_norm")
    assert plan.operations == ()
    assert "there already" in plan.notes[0]
    assert snapshot(project) == before


def test_other_answers_are_refused(project: Path) -> None:
    add("callback", "early-stopping")
    with pytest.raises(UsageError, match="scaffold remove callback early-stopping"):
        add("callback", "early-stopping", patience=9)


def test_comments_and_the_user_s_own_items_stay(project: Path) -> None:
    path = project / "configs" / "default.yaml"
    text = "# mine\ntrainer:\n  callbacks:\n  - A # first\n  max_epochs: 9 # long\n"
    path.write_text(text)
    add("callback", "grad-norm")
    item = "  - class_path: digits.callbacks.grad_norm.GradNorm\n"
    assert path.read_text() == text.replace("first\n", f"first\n{item}")


@pytest.mark.parametrize("content", ["x: 1\n", None])
def test_without_an_anchor_one_step_is_left(project: Path, content: str | None) -> None:
    path = project / "configs" / "default.yaml"
    path.unlink() if content is None else path.write_text(content)
    plan = add("callback", "grad-norm")
    assert plan.exit_code == 3
    assert "- class_path: digits.callbacks.grad_norm.GradNorm" in plan.notes[0]
    assert "trainer.callbacks of configs/default.yaml" in plan.notes[0]
    assert (project / "digits" / "callbacks" / "grad_norm.py").is_file()


def write_file(project: Path) -> None:
    path = project / "digits" / "callbacks" / "grad_norm.py"
    path.parent.mkdir()
    path.write_text("mine\n")


def break_config(project: Path) -> None:
    (project / "configs" / "default.yaml").write_text("trainer: [\n")


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (write_file, "grad-norm", "grad_norm.py, which is there already"),
        (break_config, "grad-norm", r"default\.yaml is broken"),
        (None, "grad norm", "is no name of a callback"),
        (None, "class", "keyword"),
        (None, "{{ x }}", "is no name"),
        (None, "../x", "is no name"),
        (None, "x" * 300, "300 characters"),
    ],
)
def test_bad_input_changes_nothing(
    project: Path, make: Callable[[Path], None] | None, name: str, message: str
) -> None:
    if make is not None:
        make(project)
    before = snapshot(project)
    with pytest.raises(ScaffoldError, match=message) as error:
        add("callback", name)
    assert str(error.value).isprintable()
    assert snapshot(project) == before
    assert journal.entries(project) == []


def test_a_component_of_another_task_is_refused(own_house: Path, project: Path) -> None:
    starter = own_house / "templates" / "components" / "callback" / "starter"
    settings = (starter / "template.toml").read_text()
    (starter / "template.toml").write_text(f'tasks = ["gan", "tiny"]\n{settings}')
    add("callback", "one")
    (starter / "template.toml").write_text(f'tasks = ["gan"]\n{settings}')
    before = snapshot(project)
    with pytest.raises(UsageError, match="is for gan projects, and this is a tiny"):
        add("callback", "two")
    assert snapshot(project) == before


def test_two_branches_that_each_add_something_merge(project: Path) -> None:
    """Neither changes a lock of the other's, and each has a line in project.toml."""
    before = snapshot(project)
    add("callback", "one")
    one = snapshot(project)
    remove("callback", "one")
    add("callback", "two")
    two = snapshot(project)
    changed = [{p for p in side if side[p] != before.get(p)} for side in (one, two)]
    assert changed[0] & changed[1] == {"configs/default.yaml", state.PROJECT_FILE}


def test_the_config_still_loads(project: Path) -> None:
    for name in ("one", "two", "early-stopping"):
        add("callback", name)
    assert len(config(project)["trainer"]["callbacks"]) == 3
    assert yaml.safe_load((project / "configs" / "default.yaml").read_text())
