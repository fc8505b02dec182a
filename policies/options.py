"""What a metric reads of its plan: its declared options."""

from typing import Protocol, TypeVar

from msgspec import UnsetType

Cells = tuple[float, float, float, float]
_T = TypeVar("_T")


class Options(Protocol):
    """What a metric reads of its plan (policies/metric_plan.py, `MetricPlan`)."""

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

    @property
    def slo_us(self) -> int | UnsetType:
        """The latency that an answer should not exceed."""

    @property
    def k(self) -> int | UnsetType:
        """How many of a group's first places count."""

    @property
    def bins(self) -> int | UnsetType:
        """Into how many bins of equal width scores are put."""

    @property
    def least(self) -> int | UnsetType:
        """How many a group must have of what it is sized by; 1 where it is unset."""

    @property
    def source(self) -> str | UnsetType:
        """The digest of the source of a metric of the user's own."""


def declared(value: _T | UnsetType | None) -> _T | None:
    """Return the value, None where it is unset: an option that came later is absent, not null."""
    return None if isinstance(value, UnsetType) else value
