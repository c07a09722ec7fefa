"""The runtime's source, which a project carries in vendor/ until it is on an index."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from scaffold import source, tree
from scaffold.errors import ScaffoldError

FOLDER = "vendor/torch-scaffold-runtime"

_FILES = ("pyproject.toml", "README.md", "LICENSE")
_PACKAGE = "scaffold_runtime"


def runtime_tree() -> tree.Tree:
    """Return the runtime's source as the files of a project."""
    folder = source.runtime_folder()
    files = {name: tree.File((folder / name).read_bytes()) for name in _FILES}
    for relative, file in tree.read(folder / _PACKAGE).items():
        if "__pycache__" not in PurePosixPath(relative).parts:
            files[f"{_PACKAGE}/{relative}"] = file
    return {f"{FOLDER}/{relative}": file for relative, file in files.items()}


def runtime_version() -> str:
    """Return the version of the runtime that this generator carries.

    Read as text: importing the runtime would import torch.
    """
    door = source.runtime_folder() / _PACKAGE / "__init__.py"
    found = re.search(
        r'^__version__(?:: \w+)? = "([^"]+)"', door.read_text("utf-8"), re.MULTILINE
    )
    if found is None:
        raise ScaffoldError(f"{door} names no __version__: reinstall torch-scaffold.")
    return found[1]
