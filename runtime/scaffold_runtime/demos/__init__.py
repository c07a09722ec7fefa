"""Models and data for trying things out, where Lightning's documentation has its own."""

from scaffold_runtime.demos.boring_classes import (
    BoringDataModule,
    BoringModel,
    DemoModel,
)

__all__ = ["BoringDataModule", "BoringModel", "DemoModel"]
