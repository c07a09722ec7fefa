"""The users' ways in: what `pip install`, pipx and uvx make of the built wheels.

Everything runs outside the checkout and without its environment.
"""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOORWAYS = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")


def run(*command, cwd, **environment):
    """The output of a command that must succeed, away from this environment."""
    inherited = {key: os.environ[key] for key in os.environ if key not in DOORWAYS}
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**inherited, **{key: str(value) for key, value in environment.items()}},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, f"{command} in {cwd}:\n{result.stdout}"
    return result.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Both wheels by distribution, built from their source distributions."""
    folder = tmp_path_factory.mktemp("wheels")
    for source in (ROOT, ROOT / "runtime"):
        build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder]
        run(*build, source, cwd=folder)
    return {
        wheel.name.partition("-")[0].replace("_", "-"): wheel
        for wheel in folder.glob("*.whl")
    }


@pytest.fixture(scope="module")
def generator(wheels):
    return wheels["torch-scaffold"]


def empty_environment(folder):
    """The interpreter of a new virtual environment in `folder`."""
    venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


def check_project(project):
    """`project` is whole: code, data, state, and the runtime's source."""
    assert (project / "train.py").is_file()
    assert (project / "configs" / "default.yaml").is_file()
    assert (project / ".scaffold" / "project.toml").is_file()
    vendored = project / "vendor" / "torch-scaffold-runtime"
    shipped = ROOT / "runtime" / "scaffold_runtime"
    assert {
        path.relative_to(vendored / "scaffold_runtime")
        for path in (vendored / "scaffold_runtime").rglob("*.py")
    } == {path.relative_to(shipped) for path in shipped.rglob("*.py")}


def test_wheels_carry_what_they_need_and_no_more(wheels):
    contents = {
        name: set(zipfile.ZipFile(wheel).namelist()) for name, wheel in wheels.items()
    }
    runtime, generator = contents["torch-scaffold-runtime"], contents["torch-scaffold"]
    assert "scaffold_runtime/py.typed" in runtime
    assert {name.partition("/")[0].partition("-")[0] for name in runtime} == {
        "scaffold_runtime",
        "torch_scaffold_runtime",
    }
    assert {name.partition("/")[0].partition("-")[0] for name in generator} == {
        "scaffold",
        "torch_scaffold",
    }
    assert not [name for name in runtime | generator if "__pycache__" in name]
    assert any(name.endswith("/licenses/LICENSE") for name in runtime)
    assert any(name.endswith("/licenses/LICENSE") for name in generator)


def test_both_packages_have_one_licence():
    assert (ROOT / "LICENSE").read_text() == (ROOT / "runtime/LICENSE").read_text()


def test_pip_install(generator, tmp_path):
    python = empty_environment(tmp_path / "environment")
    run(python, "-m", "pip", "install", "--quiet", generator, cwd=tmp_path)
    scaffold = python.with_name("scaffold")
    assert "classifier" in run(scaffold, "list", cwd=tmp_path)
    run(scaffold, "new", "classifier", "my-digits", cwd=tmp_path)
    check_project(tmp_path / "my-digits")
    installed = run(python, "-m", "pip", "list", cwd=tmp_path)
    assert "torch-scaffold " in installed
    assert not {"torch", "torch-scaffold-runtime"} & set(installed.split())


def test_pipx_install(generator, tmp_path):
    run(
        *(sys.executable, "-m", "pipx", "install", "--python", sys.executable),
        generator,
        cwd=tmp_path,
        PIPX_HOME=tmp_path / "pipx",
        PIPX_BIN_DIR=tmp_path / "bin",
        PIPX_MAN_DIR=tmp_path / "man",
    )
    run(tmp_path / "bin" / "scaffold", "new", "classifier", cwd=tmp_path)
    check_project(tmp_path / "classifier")


def test_uvx(generator, tmp_path):
    run(
        *(sys.executable, "-m", "uv", "tool", "run", "--python", sys.executable),
        *("--from", generator, "scaffold", "new", "classifier"),
        cwd=tmp_path,
        UV_CACHE_DIR=tmp_path / "cache",
        UV_PYTHON_DOWNLOADS="never",
    )
    check_project(tmp_path / "classifier")


@pytest.mark.full
def test_a_project_installs_and_passes_its_tests_in_an_empty_environment(
    generator, tmp_path
):
    python = empty_environment(tmp_path / "environment")
    project = tmp_path / "my-digits"
    maker = empty_environment(tmp_path / "maker")
    run(maker, "-m", "pip", "install", "--quiet", generator, cwd=tmp_path)
    run(maker.with_name("scaffold"), "new", "classifier", project, cwd=tmp_path)
    install = [python, "-m", "pip", "install", "--quiet"]
    pinned = {"PIP_CONSTRAINT": ROOT / "constraints.txt"}
    run(*install, "-r", "requirements.txt", cwd=project, **pinned)
    run(*install, "pytest", cwd=project, **pinned)
    assert "passed" in run(python, "-m", "pytest", "-q", cwd=project)
    fit = [python, "train.py", "fit", "--trainer.max_epochs", "1"]
    run(*fit, cwd=project)
    run(python, "train.py", "test", "--ckpt_path", "best", cwd=project)
