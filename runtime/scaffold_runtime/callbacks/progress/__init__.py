"""Progress bars."""

from scaffold_runtime.callbacks.progress.progress_bar import ProgressBar
from scaffold_runtime.callbacks.progress.rich_progress import (
    RichProgressBar,
    RichProgressBarTheme,
)
from scaffold_runtime.callbacks.progress.tqdm_progress import TQDMProgressBar

__all__ = ["ProgressBar", "RichProgressBar", "RichProgressBarTheme", "TQDMProgressBar"]
