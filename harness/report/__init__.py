"""The experiment report: pure drawings and one page."""

from harness.report.write import write_report

__all__ = ["write_report"]
