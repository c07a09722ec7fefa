"""A small, fast PyTorch trainer that speaks Lightning's documented vocabulary."""

__version__ = "0.1.0"
