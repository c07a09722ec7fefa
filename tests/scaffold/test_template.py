from pathlib import Path

import pytest

from scaffold import catalog, render
from scaffold.errors import TemplateError, UsageError
from scaffold.template import RESERVED, Template


def change(house: Path, layer: str, old: str, new: str) -> None:
    path = house / "templates" / layer / "template.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_questions_are_the_union_of_the_layers(tiny: Template) -> None:
    assert list(tiny.questions) == [
        "launchers",
        "title",
        "width",
        "rate",
        "data",
        "hooks",
    ]


def test_answers_have_defaults_and_what_every_template_has(tiny: Template) -> None:
    assert tiny.answers(package="my_digits", vendor=False, width=64) == {
        "launchers": True,
        "title": "A tiny model",
        "width": 64,
        "rate": 0.1,
        "data": "digits",
        "hooks": ["on_fit_start"],
        "package": "my_digits",
        "project": "my-digits",
        "task": "tiny",
        "runtime": "torch-scaffold-runtime>=0.3,<0.4",
        "vendor": False,
    }


def test_an_unknown_question_names_the_nearest(tiny: Template) -> None:
    with pytest.raises(UsageError, match="did you mean 'width'"):
        tiny.answers(package="my_digits", widht=3)


@pytest.mark.parametrize("package", ["train", "configs", "vendor", "pyproject"])
def test_a_package_cannot_have_the_name_of_another_file(
    tiny: Template, package: str
) -> None:
    with pytest.raises(UsageError):
        tiny.answers(package=package)


def test_the_task_s_next_commands_win(own_house: Path) -> None:
    assert catalog.task("tiny").next[-1] == "python train.py fit"
    path = own_house / "templates" / "tasks" / "tiny" / "template.toml"
    path.write_text('next = ["ls"]\n' + path.read_text())
    assert catalog.task("tiny").next == ("ls",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("description", "descripton", "descripton"),
        ("[questions.width]", "[questions.launchers]", "asked twice"),
        ("[questions.width]", "[questions.package]", "package"),
        ("[questions.width]", '[questions."a b"]', "a b"),
        ("min = 8", "min = ", "line"),
        ("[only_if]", "[onlyif]", "onlyif"),
        ("description", 'layers = "images"\ndescription', "'layers' is no list"),
        ("description", 'tasks = "tiny"\ndescription', "'tasks' is no list"),
    ],
)
def test_a_broken_template_toml_is_named(
    own_house: Path, old: str, new: str, message: str
) -> None:
    change(own_house, "tasks/tiny", old, new)
    with pytest.raises(TemplateError, match=message) as error:
        catalog.task("tiny")
    assert "tiny/template.toml" in str(error.value)


def test_a_shared_layer_lies_below_the_task_that_names_it(own_house: Path) -> None:
    shared = own_house / "templates" / "layers" / "images"
    (shared / "files").mkdir(parents=True)
    (shared / "files" / "images.txt").write_text("{{ side }}")
    (shared / "template.toml").write_text(
        'description = "Images"\n[questions.side]\nhelp = "Pixels"\ndefault = 8\n'
    )
    change(own_house, "tasks/tiny", "description", 'layers = ["images"]\ndescription')
    task = catalog.task("tiny")
    assert [folder.name for folder in task.folders] == ["project", "images", "tiny"]
    assert task.description == "The smallest task there is"
    files = render.render(task, task.answers(package="my_digits", side=28))
    assert files["images.txt"].content == b"28"


def test_a_layer_may_hold_parts_alone_and_names_no_layers(own_house: Path) -> None:
    words = own_house / "templates" / "layers" / "words"
    (words / "parts").mkdir(parents=True)
    (words / "template.toml").write_text('description = "Words"\n')
    change(own_house, "tasks/tiny", "description", 'layers = ["words"]\ndescription')
    assert catalog.task("tiny").answers(package="my_digits")["package"] == "my_digits"
    (words / "template.toml").write_text('description = "Words"\nlayers = ["words"]\n')
    with pytest.raises(
        TemplateError, match=r"words/template\.toml: unknown key 'layers'"
    ):
        catalog.task("tiny")


def test_a_layer_that_is_not_there_is_named(own_house: Path) -> None:
    change(own_house, "tasks/tiny", "description", 'layers = ["none"]\ndescription')
    with pytest.raises(TemplateError, match="none is no template"):
        catalog.task("tiny")


def test_a_folder_without_template_toml_is_named(own_house: Path) -> None:
    (own_house / "templates" / "tasks" / "empty").mkdir()
    with pytest.raises(TemplateError, match="empty is no template"):
        catalog.task("empty")


def test_reserved_names_cover_the_variables_and_the_options(tiny: Template) -> None:
    variables = set(tiny.answers(package="p")) - set(tiny.questions)
    assert variables <= RESERVED
