"""What the documents say is so: commands run, links lead somewhere, code works."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import scaffold_runtime

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path
    for folder in (ROOT, ROOT / "docs", ROOT / "runtime")
    for path in folder.glob("*.md")
)
SCAFFOLD = [sys.executable, "-m", "scaffold"]
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'runtime'}"}


def blocks(document, language):
    """The code blocks of one language in `document`."""
    found, inside = [], None
    for line in document.read_text(encoding="utf-8").splitlines():
        if not line.startswith("```"):
            if inside is not None:
                inside.append(line)
        elif inside is None:
            inside, spoken = [], line.removeprefix("```")
        else:
            if spoken == language:
                found.append("\n".join(inside))
            inside = None
    return found


def output(command, folder):
    """What `command` prints; it must succeed."""
    result = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def by_name(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)
def test_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [name for name in targets if not (document.parent / name).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)
def test_words_of_make_exist(document):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z-]+)", text))
    for block in blocks(document, "sh"):
        named |= set(re.findall(r"^make ([a-z-]+)", block, re.M))
    assert named <= targets


def test_make_explains_every_word():
    text = (ROOT / "Makefile").read_text()
    listed = output(["make", "--no-print-directory", "help"], ROOT)
    for word in re.findall(r"^\.PHONY: ([a-z-]+)$", text, re.M):
        assert re.search(rf"^  {word} +\S", listed, re.M), word


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)
def test_commands_of_scaffold_exist(document):
    """Each `scaffold WORD --flag` that is shown is one that its help text shows."""
    shown = re.findall(
        r"(?:`|^\$? ?)scaffold ([a-z]+)([^`#\n]*)",
        document.read_text(encoding="utf-8"),
        re.M,
    )
    known = output([*SCAFFOLD, "--help"], ROOT)
    for word, rest in shown:
        assert re.search(rf"^  {word} ", known, re.M), f"scaffold {word}"
        help_text = output([*SCAFFOLD, word, "--help"], ROOT)
        kind = rest.strip().partition(" ")[0]
        if kind and re.search(rf"^  {re.escape(kind)} ", help_text, re.M):
            help_text = output([*SCAFFOLD, word, kind, "--help"], ROOT)
        for flag in re.findall(r"--[a-z-]+", rest):
            assert flag in help_text, f"scaffold {word} {flag}"


def test_the_tree_of_the_readme_is_the_tree():
    (tree,) = (block for block in blocks(ROOT / "README.md", "") if "runtime/" in block)
    for line in tree.splitlines():
        assert (ROOT / line.split()[0]).is_dir(), line


def test_the_readme_begins_with_commands_that_work(tmp_path):
    """The fit is cut to one epoch; everything else is as printed."""
    (block,) = blocks(ROOT / "README.md", "console")
    folder = tmp_path
    for line in block.splitlines():
        word, *arguments = shlex.split(line.removeprefix("$ "))
        if word == "cd":
            folder = folder / arguments[0]
        elif word == "scaffold":
            output([*SCAFFOLD, *arguments], folder)
        else:
            assert word == "python"
            fit = [sys.executable, *arguments, "--trainer.max_epochs", "1"]
            output(fit, folder)
    assert list(folder.rglob("*.ckpt"))


def test_a_project_grows_as_the_readme_says(tmp_path):
    output([*SCAFFOLD, "new", "classifier", "my-digits"], tmp_path)
    (block,) = (
        block for block in blocks(ROOT / "README.md", "sh") if "scaffold add" in block
    )
    for line in block.splitlines():
        word, *arguments = shlex.split(line, comments=True)
        assert word == "scaffold"
        output([*SCAFFOLD, *arguments], tmp_path / "my-digits")


def test_sessions_in_the_page_of_the_command_line_are_real(tmp_path):
    """After `$ command` stands what it prints, in a project that was just made."""
    output([*SCAFFOLD, "new", "classifier", "my-digits"], tmp_path)
    for block in blocks(ROOT / "docs" / "cli.md", "console"):
        for session in block.split("$ scaffold ")[1:]:
            command, _, printed = session.partition("\n")
            shown = output([*SCAFFOLD, *shlex.split(command)], tmp_path / "my-digits")
            assert shown.strip() == printed.strip()


def test_the_module_of_the_readme_trains(tmp_path):
    (block,) = blocks(ROOT / "README.md", "python")
    names: dict = {}
    exec(block, names)
    data = TensorDataset(torch.randn(64, 1, 8, 8), torch.randint(10, (64,)))
    trainer = scaffold_runtime.Trainer(
        max_epochs=2, accelerator="cpu", default_root_dir=tmp_path
    )
    trainer.fit(names["Classifier"](), DataLoader(data, batch_size=8))
    assert trainer.global_step == 16


def test_architecture_states_the_levels_that_are_held():
    (block,) = (
        block
        for block in blocks(ROOT / "docs" / "architecture.md", "")
        if block.startswith("6 ")
    )
    rooms = ROOT / "runtime" / "scaffold_runtime"
    named = {
        word.removesuffix("/*")
        for line in block.splitlines()
        for word in line[1:].replace("·", " ").split()
    }
    assert named == {
        path.stem
        for path in rooms.iterdir()
        if path.stem[0] != "_" and (path.suffix == ".py" or path.is_dir())
    }
