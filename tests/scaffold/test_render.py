import os
from pathlib import Path

import pytest

from scaffold import catalog, render, toml_reader, tree
from scaffold.errors import TemplateError
from scaffold.template import Template


def text(files: tree.Tree, path: str) -> str:
    return files[path].content.decode()


def render_tiny(task: Template, **chosen: object) -> tree.Tree:
    answers = task.answers("my_digits", True, **chosen)
    return render.render(task, answers)


def test_paths(rendered: tree.Tree) -> None:
    assert list(rendered) == [
        ".gitattributes",
        "configs/default.yaml",
        "launch/ddp.sh",
        "my_digits/__init__.py",
        "my_digits/digits.bin",
        "my_digits/model.py",
        "pyproject.toml",
        "train.py",
    ]


def test_content(rendered: tree.Tree) -> None:
    assert text(rendered, "my_digits/model.py") == (
        '"""tiny"""\n\n'
        'TITLE = "A tiny model"\n\n\n'
        "class Model:\n"
        "    width = 32\n"
        "    rate = 0.1\n"
        '    hooks = ["on_fit_start"]\n'
    )


def test_a_gap_is_filled_or_vanishes(rendered: tree.Tree) -> None:
    assert toml_reader.loads(text(rendered, "pyproject.toml"))["project"] == {
        "name": "my-digits",
        "version": "0.1.0",
        "dependencies": ["torch-scaffold-runtime>=0.3,<0.4", "pillow>=11"],
    }
    assert text(rendered, "configs/default.yaml") == "trainer:\n  max_epochs: 3\n"


def test_binary_files_are_copied(rendered: tree.Tree) -> None:
    assert rendered["my_digits/digits.bin"].content == b"\0\xff\x80digits"


def test_scripts_are_executable(rendered: tree.Tree) -> None:
    assert [path for path, file in rendered.items() if file.mode != 0o644] == [
        "launch/ddp.sh"
    ]
    assert rendered["launch/ddp.sh"].mode == 0o755


def test_answers_decide_which_files_there_are(tiny: Template) -> None:
    paths = set(render_tiny(tiny, data="folder", launchers=False))
    assert "my_digits/folder.py" in paths
    assert not any(path.startswith("launch/") for path in paths)


def test_black_formats_what_is_not_formatted(tiny: Template) -> None:
    assert text(render_tiny(tiny, data="folder"), "my_digits/folder.py") == (
        "LOCAL = True\n"
    )


def test_a_line_statement_leaves_no_line(tiny: Template) -> None:
    model = text(render_tiny(tiny, width=128), "my_digits/model.py")
    assert model.startswith('"""tiny"""\n\nimport math\n\nTITLE')


@pytest.mark.parametrize(
    "title",
    ['"; import os #', "{{ 7 * 7 }}", "\\", "it's", "{% raw %}", "ü 😀", "#% if"],
)
def test_an_answer_is_never_code(tiny: Template, title: str) -> None:
    files = render_tiny(tiny, title=title)
    namespace: dict[str, object] = {}
    exec(text(files, "my_digits/model.py"), namespace)
    assert namespace["TITLE"] == title


def test_the_same_answers_give_the_same_tree(
    tiny: Template, rendered: tree.Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own Copier settings, folder and clock have no say."""
    settings = tmp_path / "settings.yml"
    settings.write_text("defaults: [broken\n")
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(settings))
    monkeypatch.chdir(tmp_path)
    assert render_tiny(tiny) == rendered


def test_no_process_is_started(tiny: Template, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr("subprocess.Popen.__init__", refuse)
    monkeypatch.setattr(os, "fork", refuse)
    assert render_tiny(tiny)


def test_nothing_is_left_in_the_temporary_folder(
    tiny: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    render_tiny(tiny)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = {{ nothing }}\n", "nothing"),
        ("{% if %}\n", "template tiny"),
        ("def (:\n", r"extra\.py as rendered is no Python"),
    ],
)
def test_a_broken_template_is_named(
    own_house: Path, content: str, message: str
) -> None:
    files = own_house / "templates" / "tasks" / "tiny" / "files"
    (files / "extra.py").write_text(content)
    with pytest.raises(TemplateError, match=message):
        render_tiny(catalog.task("tiny"))


def test_tasks_and_migrations_of_a_copier_file_never_run(
    own_house: Path, tmp_path: Path
) -> None:
    """A copier.yml among the files is content like any other."""
    files = own_house / "templates" / "tasks" / "tiny" / "files"
    (files / "copier.yml").write_text(f"_tasks: ['touch {tmp_path}/ran']\n")
    assert "copier.yml" in render_tiny(catalog.task("tiny"))
    assert not (tmp_path / "ran").exists()
