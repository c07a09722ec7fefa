"""Makes PyTorch projects that train at once, and keeps them up to date."""

__version__ = "0.1.0"
