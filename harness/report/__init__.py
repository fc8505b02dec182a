"""The experiment report: pure drawings and one page."""
