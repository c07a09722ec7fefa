"""A template: folders laid over each other, and what their template.toml says.

docs/template-format.md is the specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaffold import naming, source, toml_reader, vendor
from scaffold.errors import TemplateError, UsageError, did_you_mean, ended
from scaffold.question import Question, read_question
from scaffold.quoting import Value

Answers = dict[str, Value]

_KEYS = {"description", "layers", "tasks", "next", "questions", "only_if", "renames"}
# What every template has besides its answers, and the words of the command line.
RESERVED = frozenset("""
    package project task runtime vendor kind name class_name toml yaml python architecture
    dest set answers defaults dry_run diff json help from trust
    """.split())


@dataclass(frozen=True)
class Template:
    """What `scaffold new` renders for a task, or `scaffold add` for a component.

    Attributes:
        name: of the task or variant.
        description: one line.
        folders: the template folders, bottom layer first.
        questions: by name, in the order in which they are asked.
        only_if: path pattern to the Jinja expression that decides about its files.
        renames: old path to new path.
        next: commands to try in the new project.
        tasks: whose projects can have this component; all if empty.
    """

    name: str
    description: str
    folders: tuple[Path, ...]
    questions: Mapping[str, Question]
    only_if: Mapping[str, str]
    renames: Mapping[str, str]
    next: tuple[str, ...]
    tasks: tuple[str, ...]

    def answers(self, package: str, vendor: bool = True, **chosen: object) -> Answers:
        """Return all variables that the template's files may use.

        Args:
            package: the import package of the project.
            vendor: whether the project carries the runtime's source.
            chosen: answers to questions; the others get their default.

        Raises:
            UsageError: `package` is no package name, or an answer is unknown or bad.
        """
        naming.package_name(package, taken=self.top_level_names())
        return {
            **self.check_answers(chosen),
            **project_variables(self.name, package, vendor),
        }

    def check_answers(self, chosen: Mapping[str, object]) -> Answers:
        """Return the answer to each question, from `chosen` or its default."""
        for name in chosen:
            self.question(name)
        return {
            name: question.check(chosen.get(name, question.default))
            for name, question in self.questions.items()
        }

    def question(self, name: str) -> Question:
        """Return the question called `name`.

        Raises:
            UsageError: there is none.
        """
        if name not in self.questions:
            raise UsageError(
                f"{self.name} asks no question {name!r}: "
                f"{ended(did_you_mean(name, self.questions))}"
            )
        return self.questions[name]

    def as_json(self) -> dict[str, Any]:
        """Return the template as `list --json` shows it."""
        return {
            "name": self.name,
            "description": self.description,
            "questions": [question.as_json() for question in self.questions.values()],
        }

    def top_level_names(self) -> set[str]:
        """Return the names, less suffix, of what lies at the project's top."""
        return {
            entry.name.partition(".")[0]
            for folder in self.folders
            for entry in (folder / "files").glob("*")
        } | {"vendor"}


def project_variables(task: str, package: str, vendor: bool) -> Answers:
    """Return the variables that every template has besides its answers."""
    return {
        "package": package,
        "project": naming.distribution_name(package),
        "task": task,
        "runtime": runtime_requirement(),
        "vendor": vendor,
    }


def runtime_requirement() -> str:
    """Return the dependency line of a project: this minor version of the runtime."""
    major, minor = vendor.runtime_version().split(".")[:2]
    return f"torch-scaffold-runtime>={major}.{minor},<{major}.{int(minor) + 1}"


def load(name: str, folders: tuple[Path, ...]) -> Template:
    """Read the template that `folders`, bottom layer first, make together.

    Each lies on the shared layers that it names.

    Raises:
        TemplateError: a template.toml is broken, or two of them ask the same question.
    """
    by_folder: dict[Path, dict[str, Any]] = {}
    for folder in folders:
        by_folder |= _read_with_layers(folder)
    tables = list(by_folder.values())
    questions: dict[str, Question] = {}
    for folder, table in by_folder.items():
        where = f"{folder.name}/template.toml"
        for question, settings in table.get("questions", {}).items():
            if question in RESERVED or not question.isidentifier():
                raise TemplateError(f"{where}: no question can be called {question!r}.")
            if question in questions:
                raise TemplateError(f"{where}: {question!r} is asked twice.")
            questions[question] = read_question(question, settings, where)
    return Template(
        name=name,
        description=tables[-1]["description"],
        folders=tuple(by_folder),
        questions=questions,
        only_if=_merged(tables, "only_if"),
        renames=_merged(tables, "renames"),
        next=tuple(next((t["next"] for t in reversed(tables) if "next" in t), ())),
        tasks=tuple(tables[-1].get("tasks", ())),
    )


@dataclass(frozen=True)
class Kind:
    """A kind of components: `scaffold add <name>`.

    Attributes:
        name: the folder's.
        description: one line.
        default: the variant that is taken where none is named.
        variants: the names of all.
    """

    name: str
    description: str
    default: str
    variants: tuple[str, ...]


def load_kind(folder: Path, variants: list[str]) -> Kind:
    """Read the kind.toml of a kind of components.

    Raises:
        TemplateError: it is broken, or its default is no variant.
    """
    table = _read_toml(folder, "kind.toml", {"description", "default"})
    if table.get("default") not in variants:
        raise TemplateError(f"{folder.name}/kind.toml: 'default' names no variant.")
    return Kind(folder.name, table["description"], table["default"], tuple(variants))


def _read_with_layers(folder: Path) -> dict[Path, dict[str, Any]]:
    """The table of a template folder, after those of the layers that it names."""
    table = _read_toml(folder, "template.toml", _KEYS)
    layers = source.templates_folder() / "layers"
    own_keys = _KEYS - {"layers", "tasks"}
    shared = {
        layers / name: _read_toml(layers / name, "template.toml", own_keys)
        for name in table.get("layers", [])
    }
    return {**shared, folder: table}


def _read_toml(folder: Path, name: str, keys: set[str]) -> dict[str, Any]:
    where = f"{folder.name}/{name}"
    try:
        table = toml_reader.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TemplateError(f"{folder} is no template: it has no {name}.") from None
    except toml_reader.TOMLDecodeError as error:
        raise TemplateError(f"{where}: {error}.") from None
    unknown = set(table) - keys
    if unknown:
        raise TemplateError(f"{where}: unknown key {min(unknown)!r}.")
    if not isinstance(table.get("description"), str):
        raise TemplateError(f"{where}: 'description' is missing.")
    for key in ("layers", "tasks"):
        if not isinstance(table.get(key, []), list):
            raise TemplateError(f"{where}: {key!r} is no list of names.")
    return table


def _merged(tables: list[dict[str, Any]], key: str) -> dict[str, str]:
    return {
        name: value for table in tables for name, value in table.get(key, {}).items()
    }
