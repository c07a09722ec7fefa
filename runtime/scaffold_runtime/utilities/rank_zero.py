"""What only rank 0 does, where Lightning has it."""

from scaffold_runtime.launch import rank_zero_info, rank_zero_only, rank_zero_warn

__all__ = ["rank_zero_info", "rank_zero_only", "rank_zero_warn"]
