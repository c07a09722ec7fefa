"""`toml.add_dependency`: one more requirement of a pyproject.toml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaffold.wiring.edit import ShapeError

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


@dataclass(frozen=True)
class AddDependency:
    """Add `requirement` ("wandb>=0.17") to `[project] dependencies`."""

    file: str
    requirement: str

    def is_applied(self, text: str) -> bool:
        """Tell whether the project depends on the package, in whichever version."""
        return bool(self._entries(text))

    def is_changed(self, text: str) -> bool:
        """Tell whether the project asks for another version of the package."""
        return any(entry != self.requirement for entry in self._entries(text))

    def _entries(self, text: str) -> list[str]:
        entries = map(str, _dependencies(text)[1])
        return [entry for entry in entries if _name(entry) == _name(self.requirement)]

    def apply(self, text: str) -> str:
        """Return `text` with the requirement as the last one."""
        document, dependencies = _dependencies(text)
        dependencies.append(self.requirement)
        return document.as_string()

    def revert(self, text: str) -> str:
        """Return `text` without the requirement."""
        document, dependencies = _dependencies(text)
        if self.requirement not in dependencies:
            # The user asks for another version by now: it is theirs.
            raise ShapeError(self.requirement)
        dependencies.remove(self.requirement)
        return document.as_string()

    def snippet(self) -> tuple[str, str]:
        """Return the requirement in quotes, and the list that it belongs to."""
        return f'"{self.requirement}",', f"dependencies in [project] of {self.file}"


def _dependencies(text: str) -> tuple[TOMLDocument, Any]:
    import tomlkit

    document = tomlkit.parse(text)
    project = document.get("project")
    if project is None or not isinstance(project.get("dependencies"), list):
        raise ShapeError("dependencies")
    return document, project["dependencies"]


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else requirement
