"""Where the templates and the runtime's source are.

A wheel carries both as data inside the package; in a checkout they lie beside it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGED = Path(__file__).parent / "data"
ROOT = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[1]


def runtime_folder() -> Path:
    """Return the folder with the runtime's source and its pyproject.toml."""
    return ROOT / "runtime"


def templates_folder() -> Path:
    """Return the folder that all templates are in."""
    return ROOT / "templates"
