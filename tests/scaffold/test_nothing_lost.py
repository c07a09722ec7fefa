"""Random edits, template changes and commands: what the user wrote is never lost."""

import ast
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from scaffold import source
from scaffold.errors import ScaffoldError
from tests.scaffold.components import add, remove, undo, update

COMPONENTS = [("callback", "one"), ("callback", "early-stopping"), ("logger", "wandb")]


class Story:
    """A project, its templates, and the lines that the user wrote."""

    def __init__(self, project: Path, house: Path, seed: int) -> None:
        self.project = project
        self.templates = house / "templates" / "tasks" / "tiny" / "files"
        self.chance = random.Random(seed)
        self.lines: set[str] = set()
        self.number = 0

    def files(self, folder: Path) -> list[Path]:
        return [
            path
            for path in sorted(folder.rglob("*"))
            if path.is_file()
            and path.suffix in (".py", ".yaml", ".sh", ".txt")
            and not {"vendor", ".scaffold"} & set(path.relative_to(folder).parts)
        ]

    def token(self, who: str) -> str:
        self.number += 1
        return f"# {who} {self.number}."

    def insert(self, path: Path, line: str) -> None:
        """Insert a comment between two lines, where it is valid in any language."""
        lines = path.read_text().splitlines(keepends=True)
        starts = [
            index
            for index, text in enumerate([*lines, ""])
            if not text.startswith((" ", ")", "]")) and not in_conflict(lines[:index])
        ]
        lines.insert(self.chance.choice(starts), f"{line}\n")
        path.write_text("".join(lines))

    def user_edits(self) -> None:
        line = self.token("user")
        self.insert(self.chance.choice(self.files(self.project)), line)
        self.lines.add(line)

    def user_writes_a_file(self) -> None:
        line = self.token("user")
        path = self.project / f"new{self.chance.randrange(2)}.txt"
        self.lines -= set(path.read_text().splitlines()) if path.exists() else set()
        path.write_text(f"{line}\n")
        self.lines.add(line)

    def user_deletes_a_file(self) -> None:
        files = self.files(self.project)
        if len(files) < 4:
            return
        path = self.chance.choice(files)
        self.lines -= set(path.read_text().splitlines())
        path.unlink()

    def user_changes_a_value(self) -> None:
        path = self.project / "configs" / "default.yaml"
        if path.exists():
            value = self.chance.randrange(10, 99)
            text = path.read_text().replace("max_epochs: 3", f"max_epochs: {value}")
            path.write_text(text)

    def template_changes(self) -> None:
        paths = [p for p in self.files(self.templates) if p.suffix == ".py"]
        self.insert(self.chance.choice(paths), self.token("template"))

    def template_adds_a_file(self) -> None:
        path = self.templates / f"new{self.chance.randrange(2)}.txt"
        path.write_text(f"{self.token('template')}\n")

    def template_drops_a_file(self) -> None:
        for path in self.templates.glob("new*.txt"):
            path.unlink()
            return

    def adds(self) -> None:
        add(*self.chance.choice(COMPONENTS))

    def removes(self) -> None:
        remove(*self.chance.choice(COMPONENTS))

    def updates(self) -> None:
        update(on_conflict=self.chance.choice(["markers", "new", "ours"]))

    def undoes(self) -> None:
        undo(self.chance.choice([1, 1, 2, 3]))

    def check(self) -> None:
        """The user's lines are in the project, and what is no conflict can be read.

        They may be in a conflict or in `path.new`, but not in the undo store alone.
        """
        everything = "".join(
            path.read_text(errors="replace")
            for path in self.project.rglob("*")
            if path.is_file() and ".scaffold" not in path.parts
        )
        missing = [line for line in self.lines if line not in everything]
        assert not missing
        for path in self.files(self.project):
            text = path.read_text()
            if "<<<<<<< yours" in text:
                continue
            if path.suffix == ".py":
                ast.parse(text)
            elif path.suffix == ".yaml":
                yaml.safe_load(text)


def in_conflict(lines: list[str]) -> bool:
    text = "".join(lines)
    return text.count("<<<<<<< yours") > text.count(">>>>>>> scaffold")


def live(story: Story, steps: int) -> None:
    actions: list[Callable[[], None]] = [
        *[story.user_edits] * 3,
        *[story.user_writes_a_file] * 2,
        story.user_deletes_a_file,
        story.user_changes_a_value,
        *[story.template_changes] * 2,
        *[story.template_adds_a_file] * 2,
        story.template_drops_a_file,
        *[story.adds] * 2,
        story.removes,
        *[story.updates] * 3,
        story.undoes,
    ]
    for _ in range(steps):
        try:
            story.chance.choice(actions)()
        except ScaffoldError as error:
            assert str(error).isprintable()
        story.check()


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost(own_house: Path, project: Path, seed: int) -> None:
    assert own_house == source.ROOT
    live(Story(project, own_house, seed), 25)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100, 160))
def test_nothing_is_lost_in_long_stories(
    own_house: Path, project: Path, seed: int
) -> None:
    live(Story(project, own_house, seed), 60)
