"""The one validator of names that become Python packages, modules and folders."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Collection

from scaffold.errors import UsageError, quoted

_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?")
_MAX_LENGTH = 64

# A folder of one of these names beside train.py would be imported in place of the
# package that the project, or a library that it uses, means.
_DEPENDENCIES = frozenset("""
    datasets hatchling jsonargparse lightning matplotlib mlflow numpy pandas pil pillow
    pip pytest pytorch_lightning rich safetensors scaffold scaffold_runtime scipy
    setuptools sklearn tensorboard test tokenizers torch torchaudio torchmetrics
    torchvision tqdm transformers triton typeshed wandb wheel yaml
    """.split())
# Windows opens a device in place of a folder of these names.
_DEVICES = frozenset(
    ["aux", "con", "nul", "prn"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)]
)


def package_name(name: str, taken: Collection[str] = ()) -> str:
    """Return `name` if it can be the import package of a project.

    Args:
        name: what the user chose.
        taken: top-level names that the project's other files already have.

    Raises:
        UsageError: no ASCII identifier, a keyword, or a name that hides another module.
    """
    check_identifier(name, "package name")
    plain = name.lower()
    if plain in sys.stdlib_module_names or name in sys.stdlib_module_names:
        problem = "a module of Python's standard library has it"
    elif plain in _DEPENDENCIES:
        problem = f"it would hide the package {plain!r} from the project"
    elif plain in {other.lower() for other in taken}:
        problem = "another file of the project has it"
    elif plain in _DEVICES:
        problem = "Windows reserves it"
    else:
        return name
    raise UsageError(
        f"{name!r} cannot be the package's name: {problem}; choose one with --name."
    )


def check_identifier(name: str, what: str) -> None:
    """Raise UsageError unless `name` is a short ASCII identifier and no keyword."""
    if len(name) > _MAX_LENGTH:
        raise UsageError(
            f"the {what} {quoted(name, 20)} has {len(name)} characters: "
            f"use at most {_MAX_LENGTH}."
        )
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{quoted(name)} is no {what}: use letters, digits and underscores, "
            "with a letter first and no underscore last."
        )
    if keyword.iskeyword(name):
        raise UsageError(f"{name!r} is no {what}: it is a keyword of Python.")


def package_from_folder(folder: str) -> str:
    """Return the package name that a folder's name stands for (`my-digits`)."""
    return folder.replace("-", "_")


def distribution_name(package: str) -> str:
    """Return the name under which `package` is installed (`my_digits`: my-digits)."""
    return re.sub("_+", "-", package).lower()


def class_name(name: str) -> str:
    """Return `name` as a class name (`grad_norm`, `grad-norm`: GradNorm)."""
    return "".join(part[:1].upper() + part[1:] for part in re.split("[-_]+", name))
