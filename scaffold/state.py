"""What a project keeps in .scaffold/ so that it can be changed later.

.scaffold/project.toml        template, version, answers, components: edited by hand too
.scaffold/lock/<owner>.json   a line for each generated file: SHA-256 and mode; and the
                              edits by which a component is wired into other files
.scaffold/objects/<sha256>    the bytes that were generated, as they were
.scaffold/undo/               the last operations and the journal, ignored by git

No absolute paths and no times stand in it, so two people who do the same get the same.
The stored bytes of a file are those of its own template alone: what components wire
into it is added when it is compared (`project.Project.base`), so that two branches that
each add a component change different files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scaffold import quoting, toml_reader
from scaffold.errors import ScaffoldError
from scaffold.quoting import Value
from scaffold.tree import File, Tree, digest

FOLDER = ".scaffold"
FORMAT = 1
PROJECT_FILE = f"{FOLDER}/project.toml"
PROJECT_OWNER = "project"
# The vendored runtime is renewed, never merged: its bytes need not be kept.
VENDOR_OWNER = "runtime"

_HEADER = """\
# What `scaffold` knows about this project. Answers may be edited by hand: the next
# `scaffold update` brings the files in line with them.
"""


@dataclass(frozen=True)
class Component:
    """Something that `scaffold add` put into the project."""

    kind: str
    name: str
    variant: str
    answers: Mapping[str, Value]

    @property
    def owner(self) -> str:
        """The name of its lock file."""
        return f"{self.kind}-{self.name}"

    @property
    def title(self) -> str:
        """How people call it (`callback grad-norm`)."""
        return f"{self.kind} {self.name.replace('_', '-')}"


@dataclass(frozen=True)
class Record:
    """The content of project.toml.

    Attributes:
        task: the template.
        version: of the generator that rendered last.
        black: version of the Black that formatted last.
        package: the import package.
        vendor: whether the runtime's source is in vendor/.
        answers: to the template's questions.
        components: in the order in which they were added.
        detached: files that a template dropped and the user had edited: theirs now.
    """

    task: str
    version: str
    black: str
    package: str
    vendor: bool
    answers: Mapping[str, Value]
    components: tuple[Component, ...] = ()
    detached: tuple[str, ...] = ()

    def component(self, kind: str, name: str) -> Component | None:
        """Return the component of that kind and name, if there is one."""
        for component in self.components:
            if (component.kind, component.name) == (kind, name):
                return component
        return None

    def with_component(self, component: Component) -> Record:
        """Return the record after `scaffold add`."""
        return replace(self, components=(*self.components, component))

    def without_component(self, component: Component) -> Record:
        """Return the record after `scaffold remove`."""
        rest = tuple(c for c in self.components if c is not component)
        return replace(self, components=rest)

    def to_toml(self) -> str:
        """Return the text of project.toml; a component is a line, so that git merges."""
        settings: dict[str, Value] = {
            "format": FORMAT,
            "task": self.task,
            "version": self.version,
            "black": self.black,
            "package": self.package,
            "vendor": self.vendor,
        }
        if self.detached:
            settings["detached"] = list(self.detached)
        lines = "".join(f"    {_inline(component)},\n" for component in self.components)
        components = f"components = [\n{lines}]\n" if lines else ""
        answers = f"\n[answers]\n{_table(self.answers)}"
        return f"{_HEADER}\n{_table(settings)}{components}{answers}"


def _table(values: Mapping[str, Value]) -> str:
    return "".join(f"{key} = {quoting.toml(value)}\n" for key, value in values.items())


def _inline(component: Component) -> str:
    answers = ", ".join(
        f"{k} = {quoting.toml(v)}" for k, v in component.answers.items()
    )
    return (
        f"{{ kind = {quoting.toml(component.kind)}, name = {quoting.toml(component.name)}"
        f", variant = {quoting.toml(component.variant)}, answers = {{ {answers} }} }}"
    )


def parse_record(text: str) -> Record:
    """Return the content of project.toml.

    Raises:
        ScaffoldError: it is damaged, or of a newer generator's format.
    """
    try:
        table = toml_reader.loads(text)
        if table["format"] > FORMAT:
            raise ScaffoldError(
                f"this project was written by torch-scaffold {table['version']}, "
                "which is newer: upgrade torch-scaffold."
            )
        return Record(
            task=table["task"],
            version=table["version"],
            black=table["black"],
            package=table["package"],
            vendor=table["vendor"],
            answers=table["answers"],
            components=tuple(
                Component(c["kind"], c["name"], c["variant"], c["answers"])
                for c in table.get("components", ())
            ),
            detached=tuple(table.get("detached", ())),
        )
    except (toml_reader.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ScaffoldError(
            f"{PROJECT_FILE} is damaged ({type(error).__name__}: {error}): "
            "restore it from version control."
        ) from None


@dataclass(frozen=True)
class Lock:
    """What one owner generated: hash and mode of each file, and its wiring."""

    files: Mapping[str, tuple[str, int]]
    wiring: tuple[Mapping[str, Any], ...] = field(default=())

    @staticmethod
    def of(generated: Tree, wiring: Iterable[Mapping[str, Any]] = ()) -> Lock:
        """Return the lock of files that were just rendered."""
        return Lock(
            {
                path: (digest(f.content), f.mode)
                for path, f in sorted(generated.items())
            },
            tuple(wiring),
        )

    def to_json(self) -> str:
        """Return the text of a lock file, one line per file so that git merges."""
        files = [
            f"{_json(path)}: {_json({'sha256': sha256, 'mode': f'{mode:04o}'})}"
            for path, (sha256, mode) in self.files.items()
        ]
        wiring = [_json(edit) for edit in self.wiring]
        return f'{{\n"files": {_block(files, "{}")},\n"wiring": {_block(wiring, "[]")}\n}}\n'


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _block(lines: list[str], brackets: str) -> str:
    if not lines:
        return brackets
    return brackets[0] + "\n" + ",\n".join(lines) + "\n" + brackets[1]


def parse_lock(owner: str, text: str) -> Lock:
    """Return the lock in the text of lock/<owner>.json.

    Raises:
        ScaffoldError: it is damaged.
    """
    try:
        table = json.loads(text)
        return Lock(
            files={
                path: (entry["sha256"], int(entry["mode"], 8))
                for path, entry in table["files"].items()
            },
            wiring=tuple(table["wiring"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ScaffoldError(
            f"{lock_path(owner)} is damaged: restore it from version control."
        ) from None


def lock_path(owner: str) -> str:
    """Return the path of an owner's lock file."""
    return f"{FOLDER}/lock/{owner}.json"


def object_path(sha256: str) -> str:
    """Return the path of stored bytes."""
    return f"{FOLDER}/objects/{sha256}"


def state_files(
    record: Record, locks: Mapping[str, Lock], stored: Iterable[Tree]
) -> Tree:
    """Return all files of .scaffold/.

    Args:
        record: for project.toml.
        locks: by owner.
        stored: trees whose bytes are kept as objects.
    """
    return {
        PROJECT_FILE: File(record.to_toml().encode()),
        f"{FOLDER}/.gitignore": File(b"/undo/\n"),
        **{lock_path(o): File(lock.to_json().encode()) for o, lock in locks.items()},
        **{
            object_path(digest(file.content)): File(file.content)
            for generated in stored
            for file in generated.values()
        },
    }
