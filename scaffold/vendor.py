"""The runtime's source, which a project carries in vendor/ until it is on an index."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from scaffold import catalog, tree
from scaffold.errors import ScaffoldError

FOLDER = "vendor/torch-scaffold-runtime"

_FILES = ("pyproject.toml", "README.md", "LICENSE")
_PACKAGE = "scaffold_runtime"


def runtime_tree() -> tree.Tree:
    """Return the runtime's source as the files of a project."""
    source = catalog.runtime_folder()
    files = {name: tree.File((source / name).read_bytes()) for name in _FILES}
    for relative, file in tree.read(source / _PACKAGE).items():
        if "__pycache__" not in PurePosixPath(relative).parts:
            files[f"{_PACKAGE}/{relative}"] = file
    return {f"{FOLDER}/{relative}": file for relative, file in files.items()}


def runtime_version() -> str:
    """Return the version of the runtime that this generator carries.

    Read as text: importing the runtime would import torch.
    """
    source = catalog.runtime_folder() / _PACKAGE / "__init__.py"
    found = re.search(
        r'^__version__(?:: \w+)? = "([^"]+)"', source.read_text("utf-8"), re.MULTILINE
    )
    if found is None:
        raise ScaffoldError(f"{source} names no __version__: reinstall torch-scaffold.")
    return found[1]
