"""Matching: which outcome is the latest of each decision, fed in chunks; the core of every join."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.columns import ids, instants, int64, mask_of
from replay.id_index import NEVER, IdIndex

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Decided:
    """The decisions of a range by id: one code an id, and which rows are the first with theirs.

    `index` holds the ids, and `decided` when the first decision with it occurred, by code; the others are by
    row. Codes are numbered in the order in which their ids come first. Times are microseconds since 1970.
    """

    index: IdIndex
    codes: Integers
    occurred_us: Integers
    first: Flags
    decided: Integers

    @classmethod
    def of(
        cls, decision_ids: pa.ChunkedArray, occurred_us: Integers, index: IdIndex | None = None
    ) -> "Decided":
        """Return the decisions with these ids, in the order of the log; `index` of them, if there is one."""
        index = IdIndex(ids(decision_ids, "decision_id")) if index is None else index
        first_row = index.first_rows()
        rows = np.arange(first_row.size, dtype=np.int64)
        first = first_row == rows
        if first.all():
            return cls(index, rows, occurred_us, first, occurred_us)
        codes = (np.cumsum(first) - 1)[first_row]
        return cls(IdIndex(index.ids.filter(mask_of(first))), codes, occurred_us, first, occurred_us[first])

    @property
    def ids(self) -> pa.ChunkedArray:
        """The distinct ids by code."""
        return self.index.ids

    def codes_of(self, names: pa.ChunkedArray) -> Integers:
        """Return the code of each id, NEVER where no decision has it."""
        return self.index.rows_of(names)

    def continued(self, decision_ids: pa.ChunkedArray, occurred_us: Integers) -> "Decided":
        """Return these decisions and later ones, as they would be had all been read at once."""
        more = Decided.of(decision_ids, occurred_us)
        known = self.codes_of(more.ids)
        fresh: Flags = known == NEVER
        codes = np.where(fresh, len(self.ids) + np.cumsum(fresh) - 1, known)
        return Decided(
            IdIndex(pa.chunked_array([*self.ids.chunks, *more.ids.filter(mask_of(fresh)).chunks])),
            np.concatenate([self.codes, codes[more.codes]]),
            np.concatenate([self.occurred_us, occurred_us]),
            np.concatenate([self.first, more.first & fresh[more.codes]]),
            np.concatenate([self.decided, more.decided[fresh]]),
        )


class Latest:
    """Per id the latest outcome of one label among those that happened within the window.

    Fed with `update`, in order of position: the last one fed stays. `position` is NEVER where there is none.
    `came_late` says that an outcome came which happened after the window. Counts are of outcome rows.
    """

    def __init__(self, decided: Decided, window: timedelta) -> None:
        self.of = decided
        self.window_us = window // MICROSECOND
        size = len(decided.ids)
        self.position: Integers = np.full(size, NEVER)
        self.value: Floats = np.full(size, np.nan)
        self.happened: Integers = np.zeros(size, dtype=np.int64)
        # When the log first knew of an outcome within the window: what decides whether a row was seen.
        self.known: Integers = np.zeros(size, dtype=np.int64)
        self.came_late: Flags = np.zeros(size, dtype=np.bool_)
        self.within = self.late = self.orphan = 0

    def update(self, outcomes: pa.Table, names: IdIndex | None = None) -> Flags:
        """Take outcomes of this label, later in the log than all before; return which have no decision.

        `names` is an index of their ids, if there is one.
        """
        names = IdIndex(ids(outcomes.column("decision_id"), "decision_id")) if names is None else names
        rows, of = self.of.index.matches(names)
        unknown: Flags = np.ones(outcomes.num_rows, dtype=np.bool_)
        unknown[rows] = False
        self.orphan += int(unknown.size - rows.size)
        happened = instants(outcomes.column("occurred_at"), "occurred_at")[rows]
        late = happened > self.of.decided[of] + self.window_us
        self.came_late[of[late]] = True
        self.late += int(np.count_nonzero(late))
        of, rows = of[~late], rows[~late]
        self.within += int(rows.size)
        if "recorded_at" in outcomes.schema.names:
            recorded = instants(outcomes.column("recorded_at"), "recorded_at")[rows]
            new = self.position[of] == NEVER
            self.known[of[new][::-1]] = recorded[new][::-1]
        self.position[of] = int64(outcomes.column("position"), "position")[rows]
        self.value[of] = outcomes.column("value").cast(pa.float64()).to_numpy()[rows]
        self.happened[of] = happened[~late]
        return unknown

    def continued(self, decided: Decided) -> "Latest":
        """Return the same for these decisions and later ones, which `decided` has all of."""
        more = Latest(decided, timedelta(0))
        more.window_us = self.window_us
        for name in ("position", "value", "happened", "known", "came_late"):
            kept = getattr(self, name)
            getattr(more, name)[: kept.size] = kept
        more.within, more.late, more.orphan = self.within, self.late, self.orphan
        return more

    @property
    def superseded(self) -> int:
        """How many outcomes within the window were replaced by a later one."""
        return self.within - int(np.count_nonzero(self.position != NEVER))

    def rows(self, values: npt.NDArray[Any]) -> Any:
        """Return what is kept per id as one value a decision row."""
        return values[self.of.codes]
