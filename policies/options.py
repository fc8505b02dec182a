"""What a metric reads of its plan: its declared options."""

from typing import Protocol

from msgspec import UnsetType

Cells = tuple[float, float, float, float]


class Options(Protocol):
    """What a metric reads of its plan (policies/plan.py, `MetricPlan`)."""

    @property
    def threshold(self) -> float | None:
        """The score from which on an answer is positive."""

    @property
    def positive_decision(self) -> str | None:
        """The decision that counts as positive, in place of a threshold."""

    @property
    def bound(self) -> float | None:
        """The declared largest value of an unbounded metric."""

    @property
    def epsilon(self) -> float:
        """How near to 0 and 1 a probability may come in log_loss."""

    @property
    def cost(self) -> Cells | None:
        """The cost of a true positive, false positive, false negative and true negative."""

    @property
    def gain(self) -> Cells | UnsetType:
        """What the same four cells gain; the numerator of a ratio."""

    @property
    def per(self) -> Cells | UnsetType:
        """What the four cells add to the denominator of a ratio."""

    @property
    def reference(self) -> float | UnsetType:
        """The ratio that is to be beaten."""

    @property
    def quantile(self) -> float | UnsetType:
        """The share of labels that should lie below the score."""
