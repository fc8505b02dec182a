"""What a reference shows of one feature, block by block, no row kept: all that its plan is cut from."""

import math
from typing import Any

import numpy as np

from policies.columns import Floats
from policies.drift.arrow import as_numbers, counted
from policies.drift.edges import TRIM, Edges, grid_of
from policies.drift.levels import Levels, LevelsInMemory
from policies.drift.outermost import Outermost
from policies.drift.plan import CATEGORIES, LEVELS_MAX, NUMBERS, FeaturePlan, Role

_MISSING_ROOM = 0.02
_OTHERS_ROOM = 0.005


class Survey:
    """One feature of type `kind` over at most `most` rows, in any order and any number of blocks.

    Memory is that of the outer thousandths of its numbers, or of what `levels` keeps. A text of more than
    `longest` characters is never a known level: a plan keeps those for ever. `chosen` levels are known to be
    chosen by their counts in the reference; without it an open list has the limit that it had before ADR 70.
    """

    def __init__(
        self,
        kind: str,
        most: int,
        levels: Levels | None = None,
        *,
        longest: float = math.inf,
        chosen: bool = True,
    ) -> None:
        self.kind, self._longest, self._chosen = kind, longest, chosen
        self.rows = self.usable = 0
        kept = int(most * TRIM) + 2
        self._low, self._high = Outermost(kept), Outermost(kept)
        self._levels = LevelsInMemory() if levels is None else levels

    def add(self, values: Any) -> None:
        """Take a column of the feature's type in."""
        self.rows += len(values)
        present = values.drop_null()
        if self.kind in NUMBERS:
            finite = finite_numbers(present)
            self.usable += finite.size
            self._low.add(finite)
            self._high.add(-finite)
            return
        self.usable += len(present)
        if self.kind in CATEGORIES and len(present):
            levels, times = counted(present)
            self._levels.add(zip(levels.to_pylist(), times.tolist(), strict=True))

    def add_missing(self, rows: int) -> None:
        """Take rows in that have no value of this type."""
        self.rows += rows

    def grid(self) -> Edges | None:
        """Return the cells of the range in which bins are then cut; None for what has no number."""
        if self.kind not in NUMBERS or not self.usable:
            return None
        last = self.usable - 1
        low = self._low.at(math.floor(last * TRIM))
        return grid_of(low, -self._high.at(last - math.ceil(last * (1.0 - TRIM))) + 0.0)

    def plan(self, name: str, *, role: Role, column: str, edges: Edges | None) -> FeaturePlan:
        """Return the feature's plan; `edges` are cut from its grid where it has one.

        A reference without any value gives a plan without bins: presence is watched, and no value is known.
        """
        missing = 1.0 - self.usable / self.rows if self.rows else 0.0
        levels, closed, unseen = self._known()
        return FeaturePlan(
            name=name,
            type=self.kind,
            role=role,
            column=column,
            edges=edges,
            levels=levels,
            closed=closed,
            max_missing=min(1.0, round(missing + _MISSING_ROOM, 4)),
            max_unseen=unseen,
        )

    def _known(self) -> tuple[tuple[str, ...], bool, float]:
        """Return the most frequent levels by name, whether these are all, and how many others are no news.

        As many rows as levels have that occurred at most once more than the first one left out (Good 1953):
        those kept were chosen for their counts, so that they occur more often in the reference than later. Of
        a closed list it is the rows whose level occurred once. An open one has half a point more for its own
        movement, both have three standard errors.
        """
        ranked = self._levels.largest(LEVELS_MAX + 1)
        if not ranked:
            return (), True, 0.0
        kept = [pair for pair in ranked[:LEVELS_MAX] if len(pair[0]) <= self._longest]
        closed = len(kept) == len(ranked)
        out = ranked[LEVELS_MAX][1] if len(ranked) > LEVELS_MAX else 0
        rare = out + 1 if closed or self._chosen else 0
        left = self.usable - sum(count for _, count in kept if count > rare)
        others = (left + 3.0 * math.sqrt(left)) / self.usable + (0.0 if closed else _OTHERS_ROOM)
        return tuple(sorted(level for level, _ in kept)), closed, min(1.0, round(others, 6))


def finite_numbers(values: Any) -> Floats:
    """Return the finite numbers of an Arrow column, timestamps as microseconds since 1970."""
    present = values.drop_null()
    if not len(present):
        return np.zeros(0)
    numbers = as_numbers(present)
    return numbers[np.isfinite(numbers)]
