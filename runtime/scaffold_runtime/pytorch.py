"""`scaffold_runtime.pytorch.X` is `scaffold_runtime.X`, for every module of this package.

So `lightning` may be replaced by `scaffold_runtime` in any documented import.
"""

import sys
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

import scaffold_runtime

__path__: list[str] = []  # what lies below is in sys.modules already

# Modules of Lightning's, and where their names are here.
_ELSEWHERE = {
    "callbacks.callback": "callback",
    "callbacks.progress.tqdm_progress": "callbacks.progress.rich_progress",
    "callbacks.rich_model_summary": "callbacks.model_summary",
    "core": "",
    "core.datamodule": "",
    "core.module": "",
    "core.optimizer": "optimization",
    "profilers.advanced": "profilers",
    "profilers.profiler": "profilers",
    "profilers.pytorch": "profilers",
    "profilers.simple": "profilers",
    "strategies.strategy": "strategies",
    "trainer.states": "progress",
    "trainer.trainer": "trainer",
    "tuner.tuning": "tuner",
    "utilities.grads": "utilities",
    "utilities.parsing": "hyperparameters",
}


def __getattr__(name: str) -> Any:
    return getattr(scaffold_runtime, name)


for _found in walk_packages(scaffold_runtime.__path__, "scaffold_runtime."):
    if _found.name != __name__:
        _below = _found.name.removeprefix("scaffold_runtime")
        sys.modules[__name__ + _below] = import_module(_found.name)
for _theirs, _ours in _ELSEWHERE.items():
    _name = f"scaffold_runtime.{_ours}".rstrip(".")
    _parent, _, _word = f"{__name__}.{_theirs}".rpartition(".")
    sys.modules[f"{_parent}.{_word}"] = sys.modules[_name]
    vars(sys.modules[_parent]).setdefault(_word, sys.modules[_name])
