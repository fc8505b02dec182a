"""What a metric asks of the plan around it: its unit, and how it is identified."""

from policies.checks import positive, refuse
from policies.groups import Grouped
from policies.metric_plan import MetricPlan
from policies.options import declared
from policies.serving import LATENCY

QUANTILES_MAX = 8
ASK_EVERY_MAX = 2**20


def check_in_plan(metric: MetricPlan, *, unit: str, promotes: str) -> None:
    """Refuse a metric that does not fit the plan's kind of unit, or the hypothesis that promotes on it.

    Raises:
        PlanError: the message names the key.
    """
    if isinstance(metric.kind, Grouped):
        _check_groups(metric, unit)
    if declared(metric.ask_every) is not None:
        key = f"metrics.{metric.name}.ask_every"
        if metric.name != LATENCY or not 1 <= (declared(metric.ask_every) or 0) <= ASK_EVERY_MAX:
            expected = f"with {LATENCY} alone, a number from 1 to {ASK_EVERY_MAX:,}"
            refuse(key, metric.ask_every, expected, "Correct it, or leave it out.")
    if metric.off_policy and unit != "request":
        refuse("unit.kind", unit, '"request" with a logged_action metric', "Correct it.")
    if declared(metric.covariates) and not _paired_requests(metric, unit):
        key = f"metrics.{metric.name}.covariates"
        refuse(key, metric.covariates, "a direct metric over requests", "Leave them out.")
    if declared(metric.discordant_pairs) is not None:
        _check_signs(metric, unit, promotes)


def check_beside(metric: MetricPlan, *, unit: str) -> None:
    """Refuse planned tests and quantiles that the metric's evidence does not hold.

    Raises:
        PlanError: the message names the key.
    """
    path, planned = f"metrics.{metric.name}", declared(metric.planned)
    signs = metric.kind.ternary and unit == "request"
    held = {
        "mcnemar": (signs, "a metric of 0 and 1 over requests with mcnemar"),
        "wilson": (signs, "a metric of 0 and 1 over requests with wilson"),
        "tost": (metric.margin is not None, "a margin with tost"),
        "delong": (metric.name == "auc", "metric auc with delong"),
    }
    if planned is not None:
        if not planned or len(set(planned)) < len(planned) or metric.identification != "direct":
            expected = "one or more tests, each once, of a direct metric"
            refuse(f"{path}.planned", planned, expected, "Leave it out, or name them.")
        for fits, expected in (held[test] for test in planned if test in held):
            if not fits:
                refuse(f"{path}.planned", planned, expected, "Leave that test out.")
    shares = declared(metric.quantiles)
    if shares is not None:
        _check_quantiles(metric, shares, unit)


def _check_quantiles(metric: MetricPlan, shares: tuple[float, ...], unit: str) -> None:
    key = f"metrics.{metric.name}.quantiles"
    if not 1 <= len(set(shares)) == len(shares) <= QUANTILES_MAX or not all(0.0 < p < 1.0 for p in shares):
        refuse(key, shares, f"1 to {QUANTILES_MAX} shares above 0 and below 1, each once", "Correct them.")
    graded = metric.name == LATENCY or (not metric.kind.ternary and not isinstance(metric.kind, Grouped))
    if not graded or not _paired_requests(metric, unit) or metric.kind.lowest(metric) < 0.0:
        expected = "latency_over, or a direct metric of values of at least 0, over requests"
        refuse(key, shares, expected, "Leave them out.")


def check_retrained(metric: MetricPlan) -> None:
    """Refuse a metric that a recalibrated champion has no value of: it moves scores, and nothing else.

    Raises:
        PlanError: the message names the key.
    """
    of_scores = metric.identification == "direct" and metric.positive_decision is None
    if not of_scores or metric.columns or isinstance(metric.kind, Grouped):
        expected = "a direct metric of a score and its label, such as brier or log_loss"
        refuse("metrics.name", metric.name, expected, "Retrain for one of these.")


def _check_groups(metric: MetricPlan, unit: str) -> None:
    if unit == "request":
        expected = (
            f'"day" or "column" with metrics.{metric.name}: it is a value of a group, not of a decision'
        )
        refuse("unit.kind", unit, expected, "Declare which decisions belong together.")
    if metric.off_policy or metric.bounded:
        key = f"metrics.{metric.name}.identification"
        refuse(key, metric.identification, "direct: a group is seen as a whole", "Correct it.")


def _check_signs(metric: MetricPlan, unit: str, promotes: str) -> None:
    """Refuse the sequential McNemar test where more than signs is asked for."""
    positive(f"metrics.{metric.name}", discordant_pairs=declared(metric.discordant_pairs))
    signs = metric.kind.ternary and _paired_requests(metric, unit)
    if not signs or metric.margin is not None or promotes != "superiority":
        key = f"metrics.{metric.name}.discordant_pairs"
        expected = "a direct metric of 0 and 1 over requests, superiority and no margin: it tests signs"
        refuse(key, metric.discordant_pairs, expected, "Leave it out: the betting grid serves others.")


def _paired_requests(metric: MetricPlan, unit: str) -> bool:
    return unit == "request" and metric.identification == "direct"
