from tests.runtime.callbacks.conftest import make_trainer, net

__all__ = ["make_trainer", "net"]
