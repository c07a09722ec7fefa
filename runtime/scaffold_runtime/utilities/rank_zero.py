"""What only rank 0 does, where Lightning has it."""

from scaffold_runtime.launch import rank_zero_debug as rank_zero_debug
from scaffold_runtime.launch import rank_zero_info as rank_zero_info
from scaffold_runtime.launch import rank_zero_only as rank_zero_only
from scaffold_runtime.launch import rank_zero_warn as rank_zero_warn
