"""Progress bars."""

from scaffold_runtime.callbacks.progress.progress_bar import ProgressBar
from scaffold_runtime.callbacks.progress.rich_progress import (
    RichProgressBar,
    RichProgressBarTheme,
    TQDMProgressBar,
)

__all__ = ["ProgressBar", "RichProgressBar", "RichProgressBarTheme", "TQDMProgressBar"]
