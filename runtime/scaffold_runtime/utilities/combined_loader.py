"""`CombinedLoader`, where Lightning has it."""

from scaffold_runtime.combined_loader import CombinedLoader as CombinedLoader
