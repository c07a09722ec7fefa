"""What is known of a model's layers, where Lightning has it."""

from scaffold_runtime.summary import LayerSummary as LayerSummary
from scaffold_runtime.summary import ModelSummary as ModelSummary
from scaffold_runtime.summary import (
    get_human_readable_count as get_human_readable_count,
)
from scaffold_runtime.summary import summarize as summarize
