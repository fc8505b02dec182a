"""What metrics are called on the page, and how many decimals they get."""

import math

from harness.report.data import Metric
from policies.metric_plan import MetricPlan

_NAMES = {
    "brier": ("Brier score", "Brier difference"),
    "accuracy": ("accuracy", "difference in accuracy"),
    "log_loss": ("log loss", "difference in log loss"),
    "absolute_error": ("mean absolute error", "difference in absolute error"),
    "squared_error": ("mean squared error", "difference in squared error"),
    "cost": ("cost per decision", "difference in cost"),
    "profit": ("profit per decision", "difference in profit"),
    "ratio": ("gain beyond the reference ratio", "difference in gain beyond the reference ratio"),
    "pinball": ("pinball loss", "difference in pinball loss"),
    "decision_rate": ("share of positive decisions", "difference in positive decisions"),
    "auc": ("AUC", "difference in AUC"),
    "average_precision": ("average precision", "difference in average precision"),
    "ndcg": ("NDCG", "difference in NDCG"),
    "calibration_error": ("calibration error", "difference in calibration error"),
    "latency_over": ("share beyond the latency objective", "difference in answers beyond the objective"),
    "error_rate": ("share of errors", "difference in the share of errors"),
    "timeout_rate": ("share of timeouts", "difference in the share of timeouts"),
    "flips": ("share of flipped decisions", "share of flipped decisions"),
    "failed": ("share of failed scorings", "share of failed scorings"),
}
_FEWEST, _MOST = 2, 6


def metric_of(plan: MetricPlan, width: float | None) -> Metric:
    """Return the metric with its words; `width` is that of its last interval, None without one."""
    name, difference = words(plan.name)
    assert plan.direction in {"lower", "higher"}, "a plan fills in its direction"
    return Metric(
        name=name,
        difference=difference,
        direction="lower" if plan.direction == "lower" else "higher",
        decimals=decimals(plan.margin, width),
        margin=plan.margin,
        identification=plan.identification,
    )


def words(name: str) -> tuple[str, str]:
    """Return what a metric's value and its difference are called."""
    return _NAMES.get(name, (name.replace("_", " "), f"difference in {name.replace('_', ' ')}"))


def decimals(margin: float | None, width: float | None) -> int:
    """Return the decimals of a metric: one more than its margin has, else what its interval needs.

    >>> decimals(0.002, None), decimals(None, 0.0094), decimals(None, None), decimals(None, 0.31)
    (4, 4, 4, 3)
    """
    if margin is not None:
        written = f"{margin:.6f}".rstrip("0").rpartition(".")[2]
        return min(max(len(written) + 1, _FEWEST), _MOST)
    if not width:
        return 4
    return min(max(math.ceil(-math.log10(width) + 1.6), 3), _MOST)
