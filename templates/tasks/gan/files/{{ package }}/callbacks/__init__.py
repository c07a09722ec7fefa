"""The project's callbacks: one module each."""

from {{ package }}.callbacks.prediction import WriteImages
from {{ package }}.callbacks.samples import SampleSheet

__all__ = ["SampleSheet", "WriteImages"]
