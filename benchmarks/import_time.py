"""`import scaffold_runtime` costs what `import torch` costs."""

import sys

from benchmarks.measure import Finding, command_seconds, floors

PACKAGES = ("torch", "scaffold_runtime", "lightning", "accelerate")
ROUNDS = 7


def measure() -> list[Finding]:
    """Whole processes that import one package and end."""
    seconds = floors(
        {
            package: lambda package=package: command_seconds(  # type: ignore[misc]
                [sys.executable, "-c", f"import {package}"]
            )
            for package in PACKAGES
        },
        ROUNDS,
    )
    torch = seconds["torch"]
    promises = {"scaffold_runtime": 1.05}
    return [
        Finding(
            f"import {package}",
            seconds[package],
            "s",
            "import torch",
            torch,
            promises.get(package),
        )
        for package in PACKAGES[1:]
    ]
