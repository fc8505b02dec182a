"""The fold: paired columns to evidence. Whole ranges at once, no object per decision."""

import math

import numpy as np
import pyarrow as pa
from msgspec import UNSET, UnsetType

from policies.accumulators import Moments, TernaryCounts
from policies.adjusted import fold_gram
from policies.blocked import with_unseen
from policies.columns import Columns, Floats, Ints, Mask, null_mask
from policies.errors import OutOfBounds
from policies.evidence import Evidence, MetricEvidence
from policies.fixed import exact_sum, to_fixed
from policies.gram import Gram
from policies.groups import Grouped, Rows
from policies.logged_metric import fold_logged_metric
from policies.metric_plan import MetricPlan
from policies.options import declared
from policies.plan import Plan
from policies.rank_sums import rank_sums
from policies.spread import Spread, fold_spread
from policies.units import PerUnit, RepeatSketch, group_codes, local_days, unit_keys
from policies.usable import lies_within

BLOCK_ROWS = 2**16  # a column of them is half a megabyte, and stays in a core's cache from step to step


def fold(columns: pa.Table, plan: Plan) -> Evidence:
    """Return the evidence of paired columns under a plan.

    Any partition of the rows, in any order, folded and merged, gives the same bytes. For unit `day` hand
    over closed days alone: a day that will still grow would change its mean after it was counted.

    Raises:
        ColumnsError: a column is absent or of the wrong type.
        OutOfBounds: a value lies beyond its bounds and the plan says "refuse".
    """
    if plan.unit.kind != "request":
        return _fold(columns, plan)  # units run through all rows: cut, they would be put together again
    starts = range(0, max(columns.num_rows, 1), BLOCK_ROWS)
    return Evidence.empty(plan).merge(*(_fold(columns.slice(start, BLOCK_ROWS), plan) for start in starts))


def _fold(columns: pa.Table, plan: Plan) -> Evidence:
    read = Columns(columns)
    if not read.rows:
        return Evidence.empty(plan)
    keys, unnamed = _keys(read, plan)
    repeats = RepeatSketch.of(read.unit) if plan.unit.kind == "request" else RepeatSketch.empty()
    metrics = {}
    for metric in plan.metrics:
        if metric.off_policy:
            metrics[metric.name] = fold_logged_metric(read, metric, plan)
            continue
        found = _fold_metric(read, plan, metric, keys, unnamed)
        metrics[metric.name] = with_unseen(found, read, metric, keys, unnamed) if metric.bounded else found
    return Evidence(plan.digest, plan.scale, read.rows, metrics, repeats)


def by_decision(columns: pa.Table, plan: Plan) -> dict[str, PerUnit]:
    """Return the values of each decision that a metric uses, as a unit of its own, keyed by its position.

    What `fold` sums under unit `request`. Metrics that are not seen for both models are left out.
    """
    read = Columns(columns)
    if not read.rows:
        return {metric.name: PerUnit.empty() for metric in plan.metrics}
    positions = columns.column("position").to_numpy()
    return {
        metric.name: _fold_metric(read, plan, metric, positions, None).units
        for metric in plan.metrics
        if metric.identification == "direct"
    }


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
    values = metric.kind.values(read, metric)
    usable, reasons = values.usable, dict(values.reasons)
    if unnamed is not None:
        missing = int(np.count_nonzero(usable & unnamed))
        if missing:
            reasons["unit_missing"] = missing
            usable = usable & ~unnamed
    champion, challenger = _kept(values.champion, usable), _kept(values.challenger, usable)
    kept = None if keys is None else keys[usable]
    if isinstance(metric.kind, Grouped):
        assert kept is not None  # a plan with groups has units
        rows = (kept, champion, challenger, read.label[usable])
        return _fold_groups(rows, metric, plan, reasons, read.rows)
    champion, challenger, outside = _bounded(champion, challenger, values.floor, metric)
    live, other = to_fixed(champion, plan.scale), to_fixed(challenger, plan.scale)
    moments, ternary, units, clipped = Moments.empty(), TernaryCounts.empty(), PerUnit.empty(), 0
    gram: Gram | UnsetType = UNSET
    spread: Spread | UnsetType = UNSET
    if kept is None:
        difference = difference_sign(metric) * (other - live)
        clip = round(plan.clip(metric.name) * plan.scale)
        cut = np.clip(difference, -clip, clip)
        clipped = int(np.count_nonzero(cut != difference))
        moments = Moments.of(cut)
        ternary = TernaryCounts.of(cut) if metric.kind.ternary else ternary
        gram = fold_gram(cut, read, usable, metric) if declared(metric.covariates) else gram
        if declared(metric.quantiles):
            spread = fold_spread((champion, challenger), read, usable, metric)
    else:
        units = PerUnit.of(kept, live, other)
    return MetricEvidence(
        rows=read.rows,
        used=live.size,
        reasons=dict(sorted(reasons.items())),
        outside=outside,
        clipped=clipped,
        champion=exact_sum(live),
        challenger=exact_sum(other),
        moments=moments,
        ternary=ternary,
        units=units,
        gram=gram,
        spread=spread,
    )


def _bounded(
    champion: Floats, challenger: Floats, floor: float, metric: MetricPlan
) -> tuple[Floats, Floats, int]:
    """Return the values within the metric's bounds, and how many decisions had one beyond them.

    Raises:
        OutOfBounds: there is one and the plan says "refuse".
    """
    limit = metric.kind.limit(metric)
    if lies_within(champion, floor, limit) and lies_within(challenger, floor, limit):
        return champion, challenger, 0
    outside = (champion > limit) | (challenger > limit)
    if floor > -math.inf:
        outside |= (champion < floor) | (challenger < floor)
    count = int(np.count_nonzero(outside))
    if metric.outside == "refuse":
        largest = float(max(champion.max(), challenger.max()))
        worst = largest if largest > limit else float(min(champion.min(), challenger.min()))
        raise OutOfBounds(metric.name, count, worst, limit)
    return np.clip(champion, floor, limit), np.clip(challenger, floor, limit), count


def _fold_groups(
    rows: tuple[Ints, Floats, Floats, Floats],
    metric: MetricPlan,
    plan: Plan,
    reasons: dict[str, int],
    count: int,
) -> MetricEvidence:
    """Return the evidence of a metric of whole groups: each weighs as much as its decisions."""
    keys, champion, challenger, label = rows
    assert isinstance(metric.kind, Grouped)
    groups, codes = group_codes(keys)
    sides = [metric.kind.sized(Rows(codes, s, label, groups.size), metric) for s in (champion, challenger)]
    whole = np.minimum(sides[0].size, sides[1].size) >= (declared(metric.least) or 1)
    sizes = np.bincount(codes, minlength=groups.size)
    left = int(sizes[~whole].sum())
    if left:
        reasons["group_too_small"] = left
    sizes = sizes[whole]
    tested = "delong" in (declared(metric.planned) or ())
    live, other = (to_fixed(side.value[whole], plan.scale) * sizes for side in sides)
    return MetricEvidence(
        rows=count,
        used=int(sizes.sum()),
        reasons=dict(sorted(reasons.items())),
        outside=0,
        clipped=0,
        champion=exact_sum(live),
        challenger=exact_sum(other),
        moments=Moments.empty(),
        ternary=TernaryCounts.empty(),
        units=PerUnit(groups[whole], sizes, live, other),
        whole=True,
        ranks=rank_sums(codes, (champion, challenger), label, groups.size) if tested else UNSET,
    )


def _kept(values: Floats, usable: Mask) -> Floats:
    return values if bool(usable.all()) else values[usable]
