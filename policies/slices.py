"""Slices: harm that an overall gain would hide, searched for everywhere and found under control.

Every registered slice is tested for harm, and e-BH (Wang and Ramdas 2022) holds the expected share of wrong
ones among those named at alpha, under any dependence and at any look. The number of hypotheses is that of
the plan and not of the levels seen, so that what appears later costs nothing.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from policies.estimate import UNIT_NOUNS, Validity
from policies.evidence import Evidence
from policies.figures import tidy
from policies.fold import fold
from policies.gates import Gate, e_value
from policies.multiplicity import worst_slices
from policies.plan import Plan
from policies.sample import sample_of
from policies.slice_plan import SlicePlan

OTHERS, NOTHING = "(others)", "(none)"
_NAMED = 3


class Slice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One slice: its units, the mean difference over them, and the e-value for "worse here by the margin"."""

    name: str
    units: int
    decisions: int
    point: float | None
    e_value: float
    harmed: bool
    validity: Validity = "exact"


class Searched(NamedTuple):
    """What the search found: every slice, the strongest evidence of harm first, and its gate."""

    slices: tuple[Slice, ...]
    gate: Gate


def named_levels(column: pa.ChunkedArray, levels: int) -> list[str]:
    """Return the first levels of a feature, in the order of its rows; a missing value is a level too.

    >>> named_levels(pa.chunked_array([["b", None, "b", "a"]]), 2)
    ['b', '(none)']
    """
    found: list[str] = pc.unique(_texts(column)).to_pylist()
    return found[:levels]


def sliced(table: pa.Table, features: Mapping[str, pa.ChunkedArray], plan: Plan) -> dict[str, Evidence]:
    """Return the evidence of each slice that has rows, by name such as `country=DE`.

    `features` has, per column of the plan, the level of each row of `table`: a text, or null where the row's
    level is none of the named ones.
    """
    found: dict[str, Evidence] = {}
    for column, levels in features.items():
        texts = levels.fill_null(OTHERS)
        for level in sorted(pc.unique(texts).to_pylist()):
            found[f"{column}={level}"] = fold(table.filter(pc.equal(texts, level)), plan)
    return found


def levels_of(column: pa.ChunkedArray, named: list[str]) -> pa.ChunkedArray:
    """Return each row's level as text; null where it is none of the named ones."""
    texts = _texts(column)
    return pc.if_else(
        pc.is_in(texts, value_set=pa.array(named, pa.string())), texts, pa.scalar(None, pa.string())
    )


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()).fill_null(NOTHING)


def search(slices: Mapping[str, Evidence], plan: Plan) -> Searched:
    """Return which slices are harmed at this look.

    Earlier looks do not count: e-BH reads e-values of one time.

    Raises:
        EvidenceMismatch: a slice was folded under another plan.
    """
    declared, metric = plan.slices, plan.sliced
    assert isinstance(declared, SlicePlan), "a plan without slices has none to search"
    clip, alpha = plan.clip(metric.name), plan.policy.alpha
    assert len(slices) <= declared.hypotheses, "more slices than were registered"
    logs, samples = {}, {}
    for name, evidence in slices.items():
        evidence.check(plan)
        samples[name] = sample_of(evidence.metrics[metric.name], metric, plan)
        logs[name] = samples[name].log_e(declared.margin / clip, swapped=True)
    unseen = {f"{OTHERS} {number}": 0.0 for number in range(declared.hypotheses - len(slices))}
    harmed = worst_slices(logs | unseen, alpha)
    rows = [
        Slice(
            name=name,
            units=samples[name].moments.count,
            decisions=slices[name].metrics[metric.name].used,
            point=_point(samples[name].moments.mean, plan.scale),
            e_value=e_value(logs[name]),
            harmed=name in harmed,
        )
        for name in sorted(logs, key=lambda name: (-logs[name], name))
    ]
    return Searched(tuple(rows), _gate(rows, declared, plan))


def _point(mean: float | None, scale: int) -> float | None:
    return None if mean is None else tidy(mean / scale)


def _gate(rows: list[Slice], declared: SlicePlan, plan: Plan) -> Gate:
    noun, metric = UNIT_NOUNS[plan.unit.kind], plan.sliced.name
    harmed = [each for each in rows if each.harmed]
    beyond = f" by more than {declared.margin:.6g}" if declared.margin else ""
    shown = harmed or rows[:1]
    figures = "; ".join(
        f"{each.name} {'–' if each.point is None else format(each.point, '+.4g')} after {each.units} {noun}, "
        f"e-value {each.e_value:.3g}"
        for each in shown[:_NAMED]
    )
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    told = f"Harm is shown in {len(harmed)} of {len(rows)}: " if harmed else "Nearest to harm: "
    return Gate(
        name="slices",
        rule=f"the challenger is shown worse{beyond} on {metric} in none of at most "
        f"{declared.hypotheses} slices (e-BH)",
        state="fails" if harmed else "passes",
        e_value=rows[0].e_value if rows else None,
        e_limit=tidy(declared.hypotheses / plan.policy.alpha),
        assumption="given the features and the units before it, no unit of a slice expects harm",
        reason=f"{told}{figures}{more}." if rows else "No slice has matured decisions yet.",
    )
