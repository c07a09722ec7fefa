"""What every edit can do."""

from __future__ import annotations

from typing import Protocol


class ShapeError(Exception):
    """The file does not have the place that the edit is about."""


class Edit(Protocol):
    """A change of one file that can be recognised and taken back."""

    @property
    def file(self) -> str:
        """Path of the file, from the project's folder."""

    def is_applied(self, text: str) -> bool:
        """Tell whether the file has it already."""

    def is_changed(self, text: str) -> bool:
        """Tell whether the file has what the user made of it."""

    def apply(self, text: str) -> str:
        """Return `text` with the edit; raises ShapeError."""

    def revert(self, text: str) -> str:
        """Return `text` without the edit; raises ShapeError."""

    def snippet(self) -> tuple[str, str]:
        """Return what to write by hand, and where it belongs."""
