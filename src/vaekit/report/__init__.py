"""The report: one self-contained HTML page on what was trained and how good it is."""

from vaekit.report.page import report, write_report

__all__ = ["report", "write_report"]
