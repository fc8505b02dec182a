"""A monitor's plan cut from a reference: bins, levels and limits as the reference shows them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from policies.checks import refuse
from policies.drift.arrow import as_numbers, counted, fits
from policies.drift.edges import Edges, cut_edges
from policies.drift.plan import CATEGORIES, LEVELS_MAX, NUMBERS, FeaturePlan, Role

_MISSING_ROOM = 0.02


def cut_feature(
    name: str, kind: str, values: Any, *, role: Role = "feature", column: str = ""
) -> FeaturePlan:
    """Return the plan of one feature, its with bins, levels and limit of missing values from a reference.

    A reference without any value gives a plan without bins: presence is watched, and no value is known.

    Raises:
        PlanError: the reference column is of another type than `kind`.

    >>> cut_feature("carrier", "category", pa.array(["UA", None, "UA"])).levels
    ('UA',)
    """
    if not fits(kind, values.type) and not pa.types.is_null(values.type):
        refuse(f"features.{name}.type", kind, f"the reference's type, {values.type}", "Correct one of them.")
    present = values.drop_null()
    edges: Edges | None = None
    levels: tuple[str, ...] = ()
    closed = True
    if kind in NUMBERS and len(present):
        numbers = as_numbers(present)
        finite = numbers[np.isfinite(numbers)]
        edges = cut_edges(finite) if finite.size else None
        missing = 1.0 - finite.size / len(values)
    else:
        missing = 1.0 - len(present) / len(values) if len(values) else 0.0
    if kind in CATEGORIES and len(present):
        levels, closed = _levels(present)
    limit = min(1.0, round(missing + _MISSING_ROOM, 4))
    return FeaturePlan(
        name=name,
        type=kind,
        role=role,
        column=column,
        edges=edges,
        levels=levels,
        closed=closed,
        max_missing=limit,
    )


def _levels(present: Any) -> tuple[tuple[str, ...], bool]:
    """Return the most frequent levels in order of their names, and whether these are all."""
    levels, times = counted(present)
    pairs: Iterable[tuple[int, str]] = zip(times.to_pylist(), levels.to_pylist(), strict=True)
    ranked = sorted(pairs, key=lambda pair: (-pair[0], pair[1]))
    return tuple(sorted(level for _, level in ranked[:LEVELS_MAX])), len(ranked) <= LEVELS_MAX
