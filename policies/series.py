"""The units behind a metric, in order: for pages and for people who check by hand."""

from typing import NamedTuple

from policies.evidence import Evidence
from policies.fold import difference_sign
from policies.plan import Plan
from policies.units import day_name


class UnitRow(NamedTuple):
    """One unit: its name (a date, or the key of a unit), its decisions and their means, oriented difference.

    `difference` is what the e-values bet on: the mean paired difference, clipped, above 0 where the
    challenger is better. All in the metric's unit.
    """

    name: str
    decisions: int
    champion: float
    challenger: float
    difference: float


def unit_rows(evidence: Evidence, plan: Plan, name: str) -> list[UnitRow]:
    """Return the units of one metric by key, which is by date for days; none where requests are the units.

    Raises:
        PlanError: the plan has no such metric.
    """
    metric = plan.metric(name)
    units = evidence.metrics[name].units
    means, _ = units.means(difference_sign(metric), round(plan.clip(name) * plan.scale))
    columns = (units.keys, units.counts, units.champion, units.challenger, means)
    return [
        UnitRow(
            name=day_name(key) if plan.unit.kind == "day" else f"{key & (2**64 - 1):016x}",
            decisions=count,
            champion=champion / count / plan.scale,
            challenger=challenger / count / plan.scale,
            difference=mean / plan.scale,
        )
        for key, count, champion, challenger, mean in zip(*(c.tolist() for c in columns), strict=True)
    ]
