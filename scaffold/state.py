"""What a project keeps in .scaffold/ so that it can be changed later.

.scaffold/project.toml        template, version, answers, components: edited by hand too
.scaffold/lock/<owner>.json   a line for each generated file: SHA-256 and mode
.scaffold/objects/<sha256>    the bytes that were generated, as they were
.scaffold/undo/               the last operations, ignored by git

No absolute paths and no times stand in it, so two people who do the same get the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from scaffold import quoting
from scaffold.quoting import Value
from scaffold.tree import File, Tree, digest

FOLDER = ".scaffold"
FORMAT = 1
PROJECT_FILE = f"{FOLDER}/project.toml"
# The vendored runtime is renewed, never merged: its bytes need not be kept.
VENDOR_OWNER = "runtime"
PROJECT_OWNER = "project"

_HEADER = """\
# What `scaffold` knows about this project. Answers may be edited by hand: the next
# `scaffold update` brings the files in line with them.
"""


@dataclass(frozen=True)
class Project:
    """The content of project.toml.

    Attributes:
        task: the template.
        version: of the generator that rendered last.
        black: version of the Black that formatted last.
        package: the import package.
        vendor: whether the runtime's source is in vendor/.
        answers: to the template's questions.
    """

    task: str
    version: str
    black: str
    package: str
    vendor: bool
    answers: Mapping[str, Value]

    def to_toml(self) -> str:
        """Return the text of project.toml."""
        settings: dict[str, Value] = {
            "format": FORMAT,
            "task": self.task,
            "version": self.version,
            "black": self.black,
            "package": self.package,
            "vendor": self.vendor,
        }
        return (
            _HEADER + "\n" + _table(settings) + "\n[answers]\n" + _table(self.answers)
        )


def _table(values: Mapping[str, Value]) -> str:
    return "".join(f"{key} = {quoting.toml(value)}\n" for key, value in values.items())


def state_of_new(project: Project, generated: Tree, vendored: Tree) -> Tree:
    """Return the files of .scaffold/ for a project that was just rendered."""
    state = {
        PROJECT_FILE: File(project.to_toml().encode()),
        f"{FOLDER}/.gitignore": File(b"/undo/\n/journal/\n"),
        **lock_file(PROJECT_OWNER, generated),
        **objects(generated),
    }
    if vendored:
        state |= lock_file(VENDOR_OWNER, vendored)
    return state


def lock_file(owner: str, generated: Tree) -> Tree:
    """Return lock/<owner>.json, one line per file so that git merges two branches."""
    lines = [
        f"{json.dumps(path, ensure_ascii=False)}: "
        + json.dumps({"sha256": digest(file.content), "mode": f"{file.mode:04o}"})
        for path, file in sorted(generated.items())
    ]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    return {f"{FOLDER}/lock/{owner}.json": File(text.encode())}


def objects(generated: Tree) -> Tree:
    """Return the stored bytes of `generated`, under the names of their hashes."""
    return {
        f"{FOLDER}/objects/{digest(file.content)}": File(file.content)
        for file in generated.values()
    }
