"""A monitor's plan cut from a reference: bins, levels and limits as the reference shows them."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from policies.checks import refuse
from policies.drift.arrow import as_numbers, counted, fits
from policies.drift.edges import Edges, cut_edges
from policies.drift.plan import CATEGORIES, LEVELS_MAX, NUMBERS, FeaturePlan, Role

_MISSING_ROOM = 0.02
_OTHERS_ROOM = 0.005


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
    closed, unseen = True, 0.0
    if kind in NUMBERS and len(present):
        numbers = as_numbers(present)
        finite = numbers[np.isfinite(numbers)]
        edges = cut_edges(finite) if finite.size else None
        missing = 1.0 - finite.size / len(values)
    else:
        missing = 1.0 - len(present) / len(values) if len(values) else 0.0
    if kind in CATEGORIES and len(present):
        levels, closed, unseen = _levels(present)
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
        max_unseen=unseen,
    )


def _levels(present: Any) -> tuple[tuple[str, ...], bool, float]:
    """Return the most frequent levels by name, whether these are all, and how many other values are no news.

    Where these are all: about the share of rows whose level occurred once (Good 1953), which is 0 where every
    level occurred often. Else the share of the levels left out, and half a point for its own movement. Both
    with three standard errors on top.
    """
    levels, times = counted(present)
    pairs: Iterable[tuple[int, str]] = zip(times.to_pylist(), levels.to_pylist(), strict=True)
    ranked = sorted(pairs, key=lambda pair: (-pair[0], pair[1]))
    closed = len(ranked) <= LEVELS_MAX
    once = sum(count == 1 for count, _ in ranked)
    left = once if closed else sum(count for count, _ in ranked[LEVELS_MAX:])
    others = (left + 3.0 * math.sqrt(left)) / len(present) + (0.0 if closed else _OTHERS_ROOM)
    kept = tuple(sorted(level for _, level in ranked[:LEVELS_MAX]))
    return kept, closed, min(1.0, round(others, 6))
