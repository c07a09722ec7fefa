"""The project's callbacks: one module each."""

from {{ package }}.callbacks.prediction import PrintPredictions
from {{ package }}.callbacks.report import Report

__all__ = ["PrintPredictions", "Report"]
