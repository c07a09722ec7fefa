"""Every set of options makes a project that is sound before it runs."""

from __future__ import annotations

import re
from pathlib import Path

import black
import pytest
import tomlkit
import yaml

from scaffold import catalog, tree
from scaffold.render import render
from tests.projects.command import run
from tests.projects.conftest import Make, Render
from tests.projects.option_sets import Options, every, label, pairwise

every_task = pytest.mark.parametrize("name", catalog.task_names())
every_option_set = pytest.mark.parametrize("options", every(), ids=label)
PATH_IN_TEXT = re.compile(r"`((?:[\w-]+/)*[\w-]+\.(?:py|yaml|sh|sbatch|txt|toml))`")


def texts(files: tree.Tree, *suffixes: str) -> dict[str, str]:
    """The text of the files whose name ends like this."""
    return {
        path: file.content.decode()
        for path, file in files.items()
        if path.endswith(suffixes)
    }


@every_option_set
def test_python_compiles_and_is_formatted(options: Options, rendered: Render) -> None:
    files = texts(rendered(options), ".py")
    assert len(files) > 10
    for path, text in files.items():
        compile(text, path, "exec")
        assert black.format_str(text, mode=black.Mode()) == text, path


@every_task
def test_the_templates_leave_black_nothing_to_do(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = catalog.task(name)
    answers = task.answers(package="classifier")
    formatted = render(task, answers)
    monkeypatch.setattr("scaffold.render.format_tree", lambda files: files)
    assert texts(render(task, answers), ".py") == texts(formatted, ".py")


@every_option_set
def test_configs_load(options: Options, rendered: Render) -> None:
    files = rendered(options)
    for text in texts(files, ".yaml", ".yml").values():
        assert isinstance(yaml.safe_load(text), dict)
    project = tomlkit.parse(files["pyproject.toml"].content.decode()).unwrap()
    assert project["project"]["name"] == "my-digits"
    assert ("uv" in project["tool"]) == options["vendor"]


@every_option_set
def test_no_mark_of_the_template_is_left(options: Options, rendered: Render) -> None:
    for path, file in rendered(options).items():
        if tree.is_text(file.content):
            marks = re.search(rb"\{\{|\{%|#%|\n\n\n\n|\n\n$", file.content)
            assert marks is None, f"{path}: {marks}"


@every_option_set
def test_every_file_that_is_named_is_there(options: Options, rendered: Render) -> None:
    files = rendered(options)
    texts_to_read = texts(files, "README.md", "AGENTS.md").values()
    named = {path for text in texts_to_read for path in PATH_IN_TEXT.findall(text)}
    assert "train.py" in named
    assert {
        path for path in named if path not in files and f"my_digits/{path}" not in files
    } == set()


@every_option_set
def test_options_decide_which_files_exist(options: Options, rendered: Render) -> None:
    files = rendered(options)
    sharded = {"launch/fsdp.sh", "configs/fsdp.yaml"}
    launchers = {"launch/ddp.sh", "launch/slurm.sbatch", "configs/ddp.yaml"}
    there = (launchers | sharded) & files.keys()
    if options["task"] == "gan":  # FSDP does not share gradients within a step
        assert there == (launchers if options["launch"] else set())
        assert "fsdp" not in "".join(texts(files, ".md", ".yaml", ".toml").values())
    else:
        assert there == (launchers | sharded if options["launch"] else set())
    assert ("tests/test_distributed.py" in files) == options["launch"]
    assert ("## Scale" in files["README.md"].content.decode()) == options["launch"]
    assert (".github/workflows/test.yaml" in files) == (options["ci"] == "github")
    assert (".gitlab-ci.yml" in files) == (options["ci"] == "gitlab")


@every_task
def test_only_launch_decides_about_python(name: str, rendered: Render) -> None:
    """So two type checks are those of every set of options."""
    own = [options for options in every() if options["task"] == name]
    distinct = {repr(texts(rendered(options), ".py")) for options in own}
    assert len(distinct) == 2
    without = texts(rendered({"task": name, "launch": False}), ".py")
    with_launch = texts(rendered({"task": name, "launch": True}), ".py")
    assert without.items() < with_launch.items()


@every_task
@pytest.mark.parametrize("launch", [True, pytest.param(False, marks=pytest.mark.full)])
def test_a_project_passes_the_strict_type_check(
    name: str, launch: bool, make: Make, tmp_path: Path
) -> None:
    words = ["-m", "mypy", "--strict", "--cache-dir", str(tmp_path)]
    project = make({"task": name, "launch": launch})
    run(project, "python", *words, "train.py", "my_digits", "tests")


@pytest.mark.full
@pytest.mark.parametrize("options", pairwise(), ids=label)
def test_pairs_of_options_pass_their_own_tests(options: Options, make: Make) -> None:
    assert " passed" in run(make(options), "python", "-m", "pytest", "-q")
