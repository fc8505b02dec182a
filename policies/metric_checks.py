"""What a metric asks of the plan around it: its unit, and how it is identified."""

from policies.checks import positive, refuse
from policies.groups import Grouped
from policies.metric_plan import MetricPlan
from policies.options import declared


def check_in_plan(metric: MetricPlan, *, unit: str, promotes: str) -> None:
    """Refuse a metric that does not fit the plan's kind of unit, or the hypothesis that promotes on it.

    Raises:
        PlanError: the message names the key.
    """
    if isinstance(metric.kind, Grouped):
        _check_groups(metric, unit)
    if metric.off_policy and unit != "request":
        refuse("unit.kind", unit, '"request" with a logged_action metric', "Correct it.")
    if declared(metric.covariates) and not _paired_requests(metric, unit):
        key = f"metrics.{metric.name}.covariates"
        refuse(key, metric.covariates, "a direct metric over requests", "Leave them out.")
    if declared(metric.discordant_pairs) is not None:
        _check_signs(metric, unit, promotes)


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
