"""{{ class_name }}: how fast the training goes."""

from typing import Any

from scaffold_runtime.callbacks import ThroughputMonitor


class {{ class_name }}(ThroughputMonitor):
    """Log batches and samples a second to the logger.

    Args:
        window_size: Batches that a value is averaged over.
    """

    def __init__(self, window_size: int = 20) -> None:
        super().__init__(batch_size_fn=batch_size, window_size=window_size)


def batch_size(batch: Any) -> int:
    """The number of samples in a batch whose first part has a row for each."""
    return len(batch[0])
