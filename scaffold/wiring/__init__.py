"""Typed edits of files that somebody else owns: on their meaning, not on their text.

Each edit can be applied, recognised and reverted. It touches only the lines that it is
about, so comments and layout stay; it is checked by reading the result back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from scaffold.errors import ScaffoldError, TemplateError
from scaffold.tree import File, Tree
from scaffold.wiring.edit import Edit, ShapeError
from scaffold.wiring.markdown_command import AddCommand
from scaffold.wiring.py_argument import AddArgument
from scaffold.wiring.py_import import AddImport
from scaffold.wiring.py_statement import AddStatement
from scaffold.wiring.toml_dependency import AddDependency
from scaffold.wiring.yaml_key import SetKey
from scaffold.wiring.yaml_list import AddListItem

__all__ = ["Edit", "ShapeError", "apply", "is_there", "parse", "wire"]

_EDITS: Mapping[str, Callable[..., Edit]] = {
    "yaml.add_list_item": AddListItem,
    "yaml.set_key": SetKey,
    "toml.add_dependency": AddDependency,
    "markdown.add_command": AddCommand,
    "py.add_import": AddImport,
    "py.add_statement": AddStatement,
    "py.add_argument": AddArgument,
}


def parse(table: Mapping[str, Any]) -> Edit:
    """Return the edit that a `[[wire]]` table describes.

    Raises:
        TemplateError: there is no such edit, or it takes other keys.
    """
    settings = dict(table)
    name = settings.pop("edit", None)
    if name not in _EDITS:
        raise TemplateError(f"wiring.toml: there is no edit {name!r}.")
    try:
        return _EDITS[name](**settings)
    except TypeError:
        raise TemplateError(f"wiring.toml: {name} does not take these keys.") from None


def apply(edit: Edit, file: File, *, revert: bool = False) -> File:
    """Return `file` with `edit` applied, or reverted; its line endings stay.

    Raises:
        ShapeError: the place that the edit is about is not there, or the user changed
            what is to be reverted.
        ScaffoldError: the file is no valid YAML, TOML or Python.
    """
    text = file.content.decode()
    plain = text.replace("\r\n", "\n")
    with _broken_file_named(edit.file):
        if edit.is_applied(plain) != revert:
            if revert and edit.is_changed(plain):
                raise ShapeError(edit.file)
            return file
        changed = edit.revert(plain) if revert else edit.apply(plain)
    if plain != text:
        changed = changed.replace("\n", "\r\n")
    return File(changed.encode(), file.mode)


def is_there(edit: Edit, file: File) -> bool:
    """Tell whether `file` has `edit`, as it was or as the user changed it.

    Raises:
        ScaffoldError: the file is no valid YAML, TOML or Python.
    """
    text = file.content.decode()
    with _broken_file_named(edit.file):
        try:
            return edit.is_applied(text) or edit.is_changed(text)
        except ShapeError:
            return False


@contextmanager
def _broken_file_named(path: str) -> Iterator[None]:
    from ruamel.yaml.error import YAMLError
    from tomlkit.exceptions import TOMLKitError

    try:
        yield
    except (YAMLError, TOMLKitError, SyntaxError) as error:
        problem = " ".join(str(getattr(error, "problem", error)).split())
        mark = getattr(error, "problem_mark", None)
        problem += f" in line {mark.line + 1}" if mark else ""
        raise ScaffoldError(f"{path} is broken, correct it: {problem}.") from None


def wire(files: Tree, edits: Iterable[Edit]) -> Tree:
    """Return `files` with all `edits` applied in order, where their place is there."""
    wired = dict(files)
    for edit in edits:
        if edit.file in wired:
            try:
                wired[edit.file] = apply(edit, wired[edit.file])
            except ShapeError:
                # A newer template may have no such place: the user was told at `add`.
                continue
    return wired
