"""A small model and a quiet Trainer for the tests of the core."""

from tests.runtime.callbacks.conftest import make_trainer, net

__all__ = ["make_trainer", "net"]
