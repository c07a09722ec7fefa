"""`MisconfigurationException`, where Lightning has it."""

from scaffold_runtime.errors import MisconfigurationException

__all__ = ["MisconfigurationException"]
