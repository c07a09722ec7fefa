"""The runtime."""

__version__ = "0.3.1"
