"""The real templates: the format's rules, and every component in a real project."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scaffold import catalog, layers, render, source, tree
from scaffold.errors import UsageError
from scaffold.generation import generate_component
from scaffold.new import apply_new, plan_new
from scaffold.state import Component, Record
from scaffold.template import Template
from tests.scaffold.components import add, opened, remove, snapshot

COMPONENTS = [
    (kind, variant)
    for kind in catalog.kind_names()
    for variant in catalog.kind(kind).variants
]


def rendered(task: Template) -> tree.Tree:
    return render.render(task, task.answers(package="my_digits"))


def component(kind: str, variant: str) -> tree.Tree:
    template = catalog.component(kind, variant)
    answers = template.check_answers({})
    record = Record("classifier", "0", "0", "my_digits", True, {})
    name = variant.replace("-", "_")
    return generate_component(
        record, Component(kind, name, variant, answers), template
    )[0]


@pytest.mark.parametrize("name", catalog.task_names())
def test_black_has_nothing_to_do_with_the_default_answers(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    formatted = rendered(catalog.task(name))
    monkeypatch.setattr(render, "format_tree", lambda files: files)
    assert rendered(catalog.task(name)) == formatted


@pytest.mark.parametrize(("kind", "variant"), COMPONENTS)
def test_black_has_nothing_to_do_with_a_component(
    kind: str, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    formatted = component(kind, variant)
    monkeypatch.setattr(render, "format_tree", lambda files: files)
    assert component(kind, variant) == formatted


@pytest.mark.parametrize("name", catalog.task_names())
def test_every_part_fills_a_gap(name: str) -> None:
    task = catalog.task(name)
    sources = [
        path.read_text(errors="replace")
        for part in ("files", "parts")
        for path in layers.sources(task, part).values()
    ]
    gaps = set(re.findall(r"include ['\"]parts/([^'\"]+)['\"]", "".join(sources)))
    assert set(layers.sources(task, "parts")) <= gaps


@pytest.mark.parametrize("name", catalog.task_names())
def test_every_condition_decides_about_a_file(name: str) -> None:
    task = catalog.task(name)
    assert set(layers.conditions(task).values()) == set(task.only_if.values())


def made(task: str, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of a task; it is the current folder."""
    apply_new(plan_new(catalog.task(task), cwd / "digits", "digits", {}))
    monkeypatch.chdir(cwd / "digits")
    return cwd / "digits"


@pytest.fixture
def classifier(cwd: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return made("classifier", cwd, monkeypatch)


@pytest.mark.parametrize("name", catalog.task_names())
def test_all_components_are_wired_and_removed_without_a_trace(
    name: str, cwd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = made(name, cwd, monkeypatch)
    before = snapshot(project)
    own = []
    for kind, variant in COMPONENTS:
        if name in (catalog.component(kind, variant).tasks or [name]):
            plan = add(kind, variant)
            assert plan.exit_code == 0, plan.notes
            own.append((kind, variant))
        else:
            with pytest.raises(UsageError, match=f"this is a {name} project"):
                add(kind, variant)
    assert len(opened().record.components) == len(own) > 0.7 * len(COMPONENTS)
    for kind, variant in sorted(own, key=lambda names: names[1]):
        plan = remove(kind, variant)
        assert (plan.exit_code, plan.notes) == (0, ())
    assert snapshot(project) == before


@pytest.mark.parametrize(("kind", "variant"), COMPONENTS)
def test_the_tasks_of_a_component_are_there(kind: str, variant: str) -> None:
    assert set(catalog.component(kind, variant).tasks) <= set(catalog.task_names())


def run(project: Path, *words: str) -> str:
    runtime = str(source.runtime_folder())
    done = subprocess.run(
        [sys.executable, *words],
        cwd=project,
        env={**os.environ, "PYTHONPATH": runtime, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_starter_is_called_in_a_real_fit(classifier: Path) -> None:
    add("callback", "my-hook", hook=["on_fit_start", "on_train_batch_end"])
    printed = run(classifier, "train.py", "fit", "--config", "configs/debug.yaml")
    assert "MyHook.on_fit_start: step 0" in printed
    run(classifier, "-m", "pytest", "-q", "tests/test_my_hook.py")


HOOKS = catalog.component("callback", "starter").questions["hook"].choices


def test_every_hook_of_the_starter_has_the_trainer_s_signature(
    classifier: Path,
) -> None:
    add("callback", "all-hooks", hook=list(HOOKS))
    run(classifier, "-m", "pytest", "-q", "tests/test_all_hooks.py")
