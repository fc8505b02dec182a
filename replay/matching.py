"""Matching: which outcome is the latest of each decision, fed in chunks; the core of every join."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.columns import ids, instants, int64, mask_of

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MICROSECOND = timedelta(microseconds=1)
NEVER = np.int64(-1)
_MANY = 4


@dataclass(frozen=True, slots=True)
class Decided:
    """The decisions of a range by id: one code an id, and which rows are the first with theirs.

    `ids` and `decided`, when the first decision with it occurred, are by code; the others by row. Codes are
    numbered in the order in which their ids come first. Times are microseconds since 1970.
    """

    ids: pa.ChunkedArray
    codes: Integers
    occurred_us: Integers
    first: Flags
    decided: Integers

    @classmethod
    def of(cls, decision_ids: pa.ChunkedArray, occurred_us: Integers) -> "Decided":
        """Return the decisions with these ids, in the order of the log."""
        column = ids(decision_ids, "decision_id")
        whole = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.large_string())
        encoded = whole.dictionary_encode()
        codes: Integers = np.asarray(encoded.indices, dtype=np.int64)
        rows = np.arange(codes.size, dtype=np.int64)
        # Assignment through repeated indices keeps the last value: backwards for the first of an id.
        first_row = np.full(len(encoded.dictionary), NEVER)
        first_row[codes[::-1]] = rows[::-1]
        distinct = pa.chunked_array([encoded.dictionary])
        return cls(distinct, codes, occurred_us, first_row[codes] == rows, occurred_us[first_row])

    def codes_of(self, names: pa.ChunkedArray) -> Integers:
        """Return the code of each id, NEVER where no decision has it; the shorter side is hashed."""
        if _MANY * len(names) > len(self.ids):
            found = pc.index_in(names, value_set=self.ids)
            return np.asarray(found.fill_null(NEVER).to_numpy(), dtype=np.int64)
        distinct = pc.unique(names)
        there = pc.index_in(self.ids, value_set=distinct).fill_null(NEVER).to_numpy()
        codes = np.full(len(distinct), NEVER)
        at = np.flatnonzero(there != NEVER)
        codes[there[at]] = at
        return codes[np.asarray(pc.index_in(names, value_set=distinct).to_numpy(), dtype=np.int64)]

    def continued(self, decision_ids: pa.ChunkedArray, occurred_us: Integers) -> "Decided":
        """Return these decisions and later ones, as they would be had all been read at once."""
        more = Decided.of(decision_ids, occurred_us)
        known = self.codes_of(more.ids)
        fresh: Flags = known == NEVER
        codes = np.where(fresh, len(self.ids) + np.cumsum(fresh) - 1, known)
        return Decided(
            pa.chunked_array([*self.ids.chunks, *more.ids.filter(mask_of(fresh)).chunks]),
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

    def update(self, outcomes: pa.Table) -> Flags:
        """Take outcomes of this label, later in the log than all before; return which have no decision."""
        codes = self.of.codes_of(ids(outcomes.column("decision_id"), "decision_id"))
        unknown: Flags = codes == NEVER
        rows = np.flatnonzero(~unknown)
        self.orphan += int(codes.size - rows.size)
        of, happened = codes[rows], instants(outcomes.column("occurred_at"), "occurred_at")[rows]
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
