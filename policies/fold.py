"""The fold: paired columns to evidence. Whole ranges at once, no object per decision."""

import numpy as np
import pyarrow as pa

from policies.accumulators import Moments, TernaryCounts
from policies.columns import Columns, Floats, Ints, Mask, null_mask
from policies.errors import OutOfBounds
from policies.evidence import Evidence, MetricEvidence
from policies.fixed import exact_sum, to_fixed
from policies.metric_plan import MetricPlan
from policies.metrics import METRICS
from policies.plan import Plan
from policies.units import PerUnit, RepeatSketch, local_days, unit_keys


def fold(columns: pa.Table, plan: Plan) -> Evidence:
    """Return the evidence of paired columns under a plan.

    Any partition of the rows, in any order, folded and merged, gives the same bytes. For unit `day` hand
    over closed days alone: a day that will still grow would change its mean after it was counted.

    Raises:
        ColumnsError: a column is absent or of the wrong type.
        OutOfBounds: a value lies beyond its bounds and the plan says "refuse".
    """
    read = Columns(columns)
    if not read.rows:
        return Evidence.empty(plan)
    keys, unnamed = _keys(read, plan)
    repeats = RepeatSketch.of(read.unit) if plan.unit.kind == "request" else RepeatSketch.empty()
    metrics = {metric.name: _fold_metric(read, plan, metric, keys, unnamed) for metric in plan.metrics}
    return Evidence(plan.digest, plan.scale, read.rows, metrics, repeats)


def difference_sign(metric: MetricPlan) -> int:
    """Return what orients challenger minus champion so that larger means: challenger better."""
    return 1 if metric.direction == "higher" else -1


def _keys(read: Columns, plan: Plan) -> tuple[Ints | None, Mask | None]:
    """Return the unit of each row and where it is unknown; None where each row is its own unit."""
    if plan.unit.kind == "request":
        return None, None
    if plan.unit.timezone is not None:
        return local_days(read.occurred_us, plan.unit.timezone), None
    return unit_keys(read.unit), null_mask(read.unit)


def _fold_metric(
    read: Columns, plan: Plan, metric: MetricPlan, keys: Ints | None, unnamed: Mask | None
) -> MetricEvidence:
    kind = METRICS[metric.name]
    values = kind.values(read, metric)
    usable, reasons = values.usable, dict(values.reasons)
    if unnamed is not None:
        missing = int(np.count_nonzero(usable & unnamed))
        if missing:
            reasons["unit_missing"] = missing
            usable = usable & ~unnamed
    limit = kind.limit(metric)
    champion, challenger = _kept(values.champion, usable), _kept(values.challenger, usable)
    outside = (champion > limit) | (challenger > limit)
    count_outside = int(np.count_nonzero(outside))
    if count_outside:
        if metric.outside == "refuse":
            worst = float(max(champion.max(), challenger.max()))
            raise OutOfBounds(metric.name, count_outside, worst, limit)
        champion, challenger = np.minimum(champion, limit), np.minimum(challenger, limit)
    live, other = to_fixed(champion, plan.scale), to_fixed(challenger, plan.scale)
    moments, ternary, units, clipped = Moments.empty(), TernaryCounts.empty(), PerUnit.empty(), 0
    if keys is None:
        difference = difference_sign(metric) * (other - live)
        clip = round(plan.clip(metric.name) * plan.scale)
        cut = np.clip(difference, -clip, clip)
        clipped = int(np.count_nonzero(cut != difference))
        moments = Moments.of(cut)
        ternary = TernaryCounts.of(cut) if kind.ternary else ternary
    else:
        units = PerUnit.of(keys[usable], live, other)
    return MetricEvidence(
        rows=read.rows,
        used=live.size,
        reasons=dict(sorted(reasons.items())),
        outside=count_outside,
        clipped=clipped,
        champion=exact_sum(live),
        challenger=exact_sum(other),
        moments=moments,
        ternary=ternary,
        units=units,
    )


def _kept(values: Floats, usable: Mask) -> Floats:
    return values if bool(usable.all()) else values[usable]
