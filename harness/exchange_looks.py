"""The looks of an experiment as an exchange of both models reads them: what each unit summed to.

Looks over units keep them in their evidence. Looks over single decisions keep none, and are measured again.
"""

from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from harness.errors import UsageError
from harness.experiment_errors import LookAltered
from harness.experiments import Experiment
from harness.log.log import Log
from harness.looks import Taken
from harness.measured_part import Question, measure_part
from policies.accumulators import Moments, TernaryCounts
from policies.evidence import Evidence
from policies.fold import by_decision, difference_sign
from policies.metric_plan import MetricPlan
from policies.plan import Plan
from policies.units import PerUnit

Keys = npt.NDArray[np.int64]
# What stands beside the gate, by option of a metric, and the sums that it reads.
_REPORTS = dict.fromkeys(("prior", "covariates", "covariate_means", "planned", "quantiles"), UNSET)
_REPORTED = dict.fromkeys(("gram", "spread", "ranks"), UNSET)


class Kept(NamedTuple):
    """One look: its evidence, and the sums of each unit by metric."""

    taken: Taken
    evidence: Evidence
    units: dict[str, PerUnit]


class Turned(NamedTuple):
    """Which units are exchanged, and which of them get the worst or the best there is, by metric."""

    exchanged: Keys
    extreme: dict[str, tuple[int, Keys]]


def exchangeable(name: str, plan: Plan, looks: list[Taken]) -> Plan:
    """Return the plan that an exchange reads: what gates, without slices, which keep no units, and reports.

    Raises:
        UsageError: there is no look, or none in which both models can be exchanged.
    """
    if not looks:
        raise UsageError(
            f"Experiment {name} was not looked at.",
            "Expected at least one look.",
            f'Take one with "harness evaluate {name}".',
        )
    if plan.retraining is not UNSET:
        raise UsageError(
            f"Experiment {name} registers a proof of retraining.",
            "Expected a policy that compares two models: a proof has three rivals.",
            'Read its looks under other limits with "harness policy backtest".',
        )
    hidden = [metric for metric in plan.gating if metric.identification != "direct"]
    if hidden:
        names = ", ".join(f"{metric.name} ({metric.identification})" for metric in hidden)
        raise UsageError(
            f"What was decided hides outcomes, so both models cannot be exchanged: {names}.",
            'Expected metrics with identification = "direct" alone.',
            "See the off-policy ends among the procedures of harness policy certify --shipped.",
        )
    gating = tuple(msgspec.structs.replace(metric, **_REPORTS) for metric in plan.gating)
    return msgspec.structs.replace(plan, metrics=gating, slices=UNSET)


def kept_looks(log: Log, experiment: Experiment, plan: Plan, looks: list[Taken]) -> list[Kept]:
    """Return each look with its units.

    Raises:
        LookAltered: a look that is measured again is no longer what the log gives.
    """
    found = []
    for taken in looks:
        stored = Evidence.from_json(taken.look.evidence)
        if plan.unit.kind == "request":
            units = _measured_again(log, experiment, plan, taken)
        else:
            units = {metric.name: stored.metrics[metric.name].units for metric in plan.metrics}
        metrics = {
            metric.name: msgspec.structs.replace(stored.metrics[metric.name], **_REPORTED)
            for metric in plan.metrics
        }
        evidence = msgspec.structs.replace(stored, plan=plan.digest, metrics=metrics)
        found.append(Kept(taken, evidence, units))
    return found


def _measured_again(log: Log, experiment: Experiment, plan: Plan, taken: Taken) -> dict[str, PerUnit]:
    look = taken.look
    question = Question(
        experiment=msgspec.structs.replace(experiment, rescore=None),
        as_of=look.as_of,
        start=look.start,
        stop=look.stop,
        scores_up_to=look.scores.up_to,
        rescore_error=None,
    )
    found = measure_part(log, question, look.start, look.stop)
    if found.evidence.digest != look.evidence_digest:
        digests = (look.evidence_digest, found.evidence.digest)
        raise LookAltered(experiment.id, look.number, "evidence_digest", *digests)
    assert found.columns is not None, "they were just measured"
    return by_decision(found.columns.measured, plan)


def turned(kept: Kept, plan: Plan, how: Turned) -> Evidence:
    """Return the evidence of a look with both models exchanged, and some units at an extreme."""
    metrics = {}
    for metric in plan.metrics:
        units = _turned(kept.units[metric.name], metric, plan, how)
        own = kept.evidence.metrics[metric.name]
        if plan.unit.kind == "request":
            moments, ternary = _sums(units, metric, plan)
            own = msgspec.structs.replace(own, moments=moments, ternary=ternary)
        else:
            own = msgspec.structs.replace(own, units=units)
        totals = {"champion": int(units.champion.sum()), "challenger": int(units.challenger.sum())}
        metrics[metric.name] = msgspec.structs.replace(own, **totals)
    return msgspec.structs.replace(kept.evidence, metrics=metrics)


def _turned(units: PerUnit, metric: MetricPlan, plan: Plan, how: Turned) -> PerUnit:
    exchanged = np.isin(units.keys, how.exchanged)
    live = np.where(exchanged, units.challenger, units.champion)
    other = np.where(exchanged, units.champion, units.challenger)
    if metric.name in how.extreme:
        side, keys = how.extreme[metric.name]
        widest = side * difference_sign(metric) * round(plan.clip(metric.name) * plan.scale)
        other = np.where(np.isin(units.keys, keys), live + widest * units.counts, other)
    return PerUnit(units.keys, units.counts, live, other)


def _sums(units: PerUnit, metric: MetricPlan, plan: Plan) -> tuple[Moments, TernaryCounts]:
    """Return what evidence over single decisions holds of them."""
    cut, _ = units.means(difference_sign(metric), round(plan.clip(metric.name) * plan.scale))
    counted = TernaryCounts.of(cut) if metric.kind.ternary else TernaryCounts.empty()
    return Moments.of(cut), counted
