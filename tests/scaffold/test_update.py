"""The update table row by row, and what goes wrong with the peers."""

import shutil
from pathlib import Path

import pytest

from scaffold import __version__, journal, source
from scaffold.errors import ScaffoldError
from scaffold.formatting import Style
from tests.scaffold.components import add, config, opened, snapshot, undo, update

MODEL = "digits/model.py"


@pytest.fixture(autouse=True)
def changeable(own_house: Path, project: Path) -> None:
    """The project was made by templates that the test may change."""
    assert own_house == source.ROOT


def template_file(path: str, layer: str = "tasks/tiny") -> Path:
    folder = source.ROOT / "templates" / layer / "files"
    return folder / path.replace("digits/", "{{ package }}/")


def change(path: str, old: str, new: str, layer: str = "tasks/tiny") -> None:
    """Change a file of the template."""
    file = template_file(path, layer)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def edit(path: Path, old: str, new: str) -> None:
    """Change a file of the project."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_nothing_changed(project: Path) -> None:
    before = snapshot(project)
    plan = update()
    assert plan.operations == ()
    assert plan.notes == ("up to date.",)
    assert snapshot(project) == before


def test_new_files_are_created(project: Path) -> None:
    template_file("new.txt").write_text("new\n")
    update()
    assert (project / "new.txt").read_text() == "new\n"
    assert "new.txt" in opened().locks["project"].files


def test_a_file_of_the_same_content_is_only_recorded(project: Path) -> None:
    for folder in (template_file("x").parent, project):
        (folder / "new.txt").write_text("new\n")
    update()
    assert "new.txt" in opened().locks["project"].files
    assert not (project / "new.txt.new").exists()


def test_a_file_of_the_user_is_never_overwritten(project: Path) -> None:
    template_file("new.txt").write_text("new\n")
    (project / "new.txt").write_text("mine\n")
    (project / "new.txt.new").write_text("mine too\n")
    assert update().notes == (
        "kept: new.txt, see new.txt.new2",
        "0 updated, 0 merged, 1 kept, 0 conflicts, 0 yours now.",
    )
    assert (project / "new.txt").read_text() == "mine\n"
    assert (project / "new.txt.new").read_text() == "mine too\n"
    assert (project / "new.txt.new2").read_text() == "new\n"


def test_an_unedited_file_is_replaced(project: Path) -> None:
    change(MODEL, "class Model", "class Network")
    plan = update()
    assert "class Network" in (project / MODEL).read_text()
    assert plan.notes == ("1 updated, 0 merged, 0 kept, 0 conflicts, 0 yours now.",)


def test_an_edited_file_stays_when_its_template_does(project: Path) -> None:
    edit(project / MODEL, "width = 32", "width = 33")
    before = snapshot(project)
    update()
    assert snapshot(project) == before


def test_a_deleted_file_stays_deleted(project: Path) -> None:
    (project / MODEL).unlink()
    change(MODEL, "class Model", "class Network")
    assert f"kept: {MODEL}" in update().notes
    assert not (project / MODEL).exists()
    change(MODEL, "class Network", "class Net")
    update()
    assert not (project / MODEL).exists()


def test_an_unedited_file_that_the_template_drops_goes(project: Path) -> None:
    shutil.rmtree(template_file("launch", "project"))
    update()
    assert not (project / "launch").exists()


def test_an_edited_file_that_the_template_drops_is_the_user_s(project: Path) -> None:
    (project / "launch" / "ddp.sh").write_text("mine\n")
    shutil.rmtree(template_file("launch", "project"))
    assert "yours now: launch/ddp.sh" in update().notes
    assert (project / "launch" / "ddp.sh").read_text() == "mine\n"
    assert opened().record.detached == ("launch/ddp.sh",)
    assert update().notes == ("up to date.",)


def rename_model() -> None:
    template_file(MODEL).rename(template_file("digits/network.py"))
    settings = source.ROOT / "templates" / "tasks" / "tiny" / "template.toml"
    names = '"{{ package }}/model.py" = "{{ package }}/network.py"'
    settings.write_text(f"{settings.read_text()}\n[renames]\n{names}\n")


def test_edits_follow_a_renamed_file(project: Path) -> None:
    edit(project / MODEL, "rate = 0.1", "rate = 0.1  # mine")
    rename_model()
    change("digits/network.py", "class Model", "class Network")
    update()
    assert not (project / MODEL).exists()
    text = (project / "digits" / "network.py").read_text()
    assert "class Network" in text
    assert "# mine" in text


def test_a_rename_does_not_overwrite(project: Path) -> None:
    (project / "digits" / "network.py").write_text("mine\n")
    rename_model()
    update()
    assert (project / "digits" / "network.py").read_text() == "mine\n"
    assert (project / "digits" / "network.py.new").is_file()


def test_both_changes_are_merged(project: Path) -> None:
    edit(project / MODEL, "rate = 0.1", "rate = 0.1  # mine")
    change(MODEL, "class Model", "class Network")
    assert update().notes == ("0 updated, 1 merged, 0 kept, 0 conflicts, 0 yours now.",)
    text = (project / MODEL).read_text()
    assert "class Network" in text
    assert "# mine" in text


def conflicting(project: Path) -> None:
    edit(project / MODEL, "class Model", "class Mine")
    change(MODEL, "class Model", "class Theirs")


def test_a_conflict_is_marked_and_told(project: Path) -> None:
    conflicting(project)
    plan = update()
    assert plan.exit_code == 4
    assert plan.notes == (
        f"conflict: {MODEL}",
        "0 updated, 0 merged, 0 kept, 1 conflicts, 0 yours now.",
    )
    assert (
        "<<<<<<< yours\nclass Mine:\n||||||| base\nclass Model:\n=======\n"
        "class Theirs:\n>>>>>>> scaffold\n" in (project / MODEL).read_text()
    )
    assert update().exit_code == 0


def test_on_conflict_new(project: Path) -> None:
    conflicting(project)
    assert update(on_conflict="new").exit_code == 4
    assert "class Mine" in (project / MODEL).read_text()
    assert "class Theirs" in (project / f"{MODEL}.new").read_text()


def test_on_conflict_ours_and_theirs(project: Path) -> None:
    conflicting(project)
    assert update(on_conflict="ours").exit_code == 0
    assert "class Mine" in (project / MODEL).read_text()
    change(MODEL, "class Theirs", "class Newest")
    update(on_conflict="theirs")
    assert "class Newest" in (project / MODEL).read_text()


def test_on_conflict_abort_changes_nothing(project: Path) -> None:
    conflicting(project)
    template_file("new.txt").write_text("new\n")
    before = snapshot(project)
    with pytest.raises(ScaffoldError, match="conflict"):
        update(on_conflict="abort")
    assert snapshot(project) == before


def test_a_binary_conflict_keeps_the_user_s(project: Path) -> None:
    (project / "digits" / "digits.bin").write_bytes(b"\0mine")
    template_file("digits/digits.bin").write_bytes(b"\0theirs")
    assert update().exit_code == 4
    assert (project / "digits" / "digits.bin").read_bytes() == b"\0mine"
    assert (project / "digits" / "digits.bin.new").read_bytes() == b"\0theirs"


def test_only_what_matches_is_updated(project: Path) -> None:
    change(MODEL, "class Model", "class Network")
    change("train.py", "Model()", "print(Model())", layer="project")
    update(only="digits/*")
    assert "class Network" in (project / MODEL).read_text()
    assert "print" not in (project / "train.py").read_text()
    update()
    assert "print" in (project / "train.py").read_text()


def test_an_answer_edited_by_hand_is_followed(project: Path) -> None:
    edit(project / ".scaffold" / "project.toml", "width = 32", "width = 64")
    update()
    assert "width = 64" in (project / MODEL).read_text()


def test_a_question_of_an_older_generator_may_be_gone(project: Path) -> None:
    record = project / ".scaffold" / "project.toml"
    edit(record, f'version = "{__version__}"', 'version = "0.0.1"')
    edit(record, "width = 32", "width = 32\ncolour = 'red'")
    update()
    assert opened().record.version == __version__
    assert "colour" not in opened().record.answers


def test_wiring_alone_is_no_edit(project: Path) -> None:
    add("callback", "grad-norm")
    change("configs/default.yaml", "max_epochs: 3", "max_epochs: 4", layer="project")
    plan = update()
    assert plan.notes == ("1 updated, 0 merged, 0 kept, 0 conflicts, 0 yours now.",)
    assert config(project) == {
        "trainer": {
            "max_epochs": 4,
            "callbacks": [{"class_path": "digits.callbacks.grad_norm.GradNorm"}],
        }
    }


def test_components_are_updated_too(project: Path) -> None:
    add("callback", "grad-norm")
    folder = source.ROOT / "templates" / "components" / "callback" / "starter"
    path = folder / "files" / "{{ package }}" / "callbacks" / "{{ name }}.py"
    path.write_text(path.read_text() + "    new = True\n")
    update()
    text = (project / "digits" / "callbacks" / "grad_norm.py").read_text()
    assert "new = True" in text


def test_the_vendored_runtime_is_renewed_and_an_edited_file_kept(project: Path) -> None:
    folder = source.ROOT / "runtime" / "scaffold_runtime"
    (folder / "new.py").write_text("new = 1\n")
    (folder / "__init__.py").write_text('__version__ = "0.3.2"\n')
    vendored = project / "vendor" / "torch-scaffold-runtime"
    (vendored / "LICENSE").write_text("mine\n")
    (source.ROOT / "runtime" / "LICENSE").write_text("another\n")
    plan = update()
    assert (vendored / "scaffold_runtime" / "new.py").is_file()
    assert "0.3.2" in (vendored / "scaffold_runtime" / "__init__.py").read_text()
    assert (vendored / "LICENSE").read_text() == "mine\n"
    assert "kept: vendor/torch-scaffold-runtime/LICENSE" in plan.notes


def test_the_runtime_can_be_left_out_later(project: Path) -> None:
    edit(project / ".scaffold" / "project.toml", "vendor = true", "vendor = false")
    licence = project / "vendor" / "torch-scaffold-runtime" / "LICENSE"
    licence.write_text("mine\n")
    update()
    assert [path for path in (project / "vendor").rglob("*") if path.is_file()] == [
        licence
    ]
    assert update().notes == ("up to date.",)


# What goes wrong with the peers.

BLOCKS = """\
trainer:
  max_epochs: 3
  callbacks:
    - class_path: Checkpoint
      init_args:
        top: 1
    - class_path: Checkpoint
      init_args:
        top: 1
"""


def test_an_edit_to_the_second_of_two_equal_blocks_stays_in_it(project: Path) -> None:
    file = template_file("configs/default.yaml", "project")
    file.write_text(BLOCKS)
    update()
    path = project / "configs" / "default.yaml"
    head, _, tail = BLOCKS.rpartition("top: 1")
    path.write_text(f"{head}top: 5 # mine{tail}")
    third = "    - class_path: Stopping\n      init_args:\n        top: 1\n"
    between = BLOCKS.rindex("    - class_path")
    file.write_text(BLOCKS[:between] + third + BLOCKS[between:])
    assert update().exit_code == 0
    assert [c["init_args"]["top"] for c in config(project)["trainer"]["callbacks"]] == [
        1,
        1,
        5,
    ]
    assert "# mine" in path.read_text()


def test_a_reformatted_file_merges_without_a_conflict(project: Path) -> None:
    arguments = "first_argument, second_argument, third_argument, the_fourth_argument"
    functions = [
        f"def function{n}({arguments}, last={n}):\n    return {arguments}, last, {n}, {n}\n"
        for n in range(6)
    ]
    template_file(MODEL).write_text("\n\n".join(functions))
    update()
    (project / "pyproject.toml").write_text(
        (project / "pyproject.toml").read_text() + "\n[tool.black]\nline-length = 120\n"
    )
    wide = Style(line_length=120).format((project / MODEL).read_text())
    assert wide != (project / MODEL).read_text()
    (project / MODEL).write_text(wide.replace("def function5", "def mine"))
    change(MODEL, "def function1", "def theirs")
    change(MODEL, ", 2, 2", ", 2, 22")
    assert update().exit_code == 0
    text = (project / MODEL).read_text()
    assert "def mine" in text
    assert "def theirs" in text
    assert Style(line_length=120).is_formatted(text)


def test_a_crlf_checkout_stays_one(project: Path) -> None:
    path = project / MODEL
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert update().notes == ("up to date.",)
    change(MODEL, "class Model", "class Network")
    update()
    content = path.read_bytes()
    assert b"class Network:\r\n" in content
    assert b"\n" not in content.replace(b"\r\n", b"")


def test_an_update_can_be_undone(project: Path) -> None:
    conflicting(project)
    template_file("new.txt").write_text("new\n")
    before = snapshot(project)
    update()
    undo()
    assert snapshot(project) == before
    assert journal.entries(project) == []
