"""A monitor's plan cut from a reference: bins, levels and limits as the reference shows them."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from policies.checks import refuse
from policies.drift.arrow import as_numbers, counted, fits, plain
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
    closed, unseen = True, 0.0
    if kind in NUMBERS and len(present):
        numbers = as_numbers(present)
        finite = numbers[np.isfinite(numbers)]
        edges = cut_edges(finite) if finite.size else None
        missing = 1.0 - finite.size / len(values)
    else:
        missing = 1.0 - len(present) / len(values) if len(values) else 0.0
    if kind in CATEGORIES and len(present):
        levels, closed = _levels(present)
        unseen = _unseen_mass(present)
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


def _levels(present: Any) -> tuple[tuple[str, ...], bool]:
    """Return the most frequent levels in order of their names, and whether these are all."""
    levels, times = counted(present)
    pairs: Iterable[tuple[int, str]] = zip(times.to_pylist(), levels.to_pylist(), strict=True)
    ranked = sorted(pairs, key=lambda pair: (-pair[0], pair[1]))
    return tuple(sorted(level for _, level in ranked[:LEVELS_MAX])), len(ranked) <= LEVELS_MAX


def _unseen_mass(present: Any) -> float:
    """Return how much of the coming rows may be of levels that the reference did not happen to hold.

    Good (1953): about the share of rows whose level occurred once, with three standard errors on top. It is
    0 where every level occurred often: there the first unseen level is news.
    """
    _, times = counted(present)
    once = int(np.count_nonzero(plain(times) == 1))
    return min(1.0, round((once + 3.0 * math.sqrt(once)) / len(present), 6))
