"""`scaffold_runtime.pytorch.X` is `scaffold_runtime.X`, for every module of this package.

So `lightning` may be replaced by `scaffold_runtime` in any documented import.
"""

import sys
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

import scaffold_runtime

__path__: list[str] = []  # what lies below is in sys.modules already


def __getattr__(name: str) -> Any:
    return getattr(scaffold_runtime, name)


for _found in walk_packages(scaffold_runtime.__path__, "scaffold_runtime."):
    if _found.name != __name__:
        _below = _found.name.removeprefix("scaffold_runtime")
        sys.modules[__name__ + _below] = import_module(_found.name)
