"""What is tried on a model before it is anybody's challenger."""

from replay.checks.finding import Finding
from replay.checks.suite import check_model

__all__ = ["Finding", "check_model"]
