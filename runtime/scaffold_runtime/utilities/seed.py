"""`isolate_rng`, where Lightning has it."""

from scaffold_runtime.seed import isolated_random_state as isolate_rng

__all__ = ["isolate_rng"]
