"""The report: runs notebooks with papermill and writes what they show; it knows notebooks, not the model."""

from rmapmodel.report.run import run

__all__ = ["run"]
