"""Matching: which outcome is the latest of each decision, fed in chunks; the core of every join."""

from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.columns import ids, instants, int64

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MICROSECOND = timedelta(microseconds=1)
NEVER = np.int64(-1)


class Decided:
    """The decisions of a range by id: one code an id, and which rows are the first with theirs.

    `decided` is when the first decision of each code occurred, in microseconds.
    """

    def __init__(self, decision_ids: pa.ChunkedArray, occurred_us: Integers) -> None:
        column = ids(decision_ids, "decision_id")
        whole = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.large_string())
        encoded = whole.dictionary_encode()
        self.ids = encoded.dictionary
        self.codes: Integers = np.asarray(encoded.indices, dtype=np.int64)
        self.occurred_us = occurred_us
        rows = np.arange(self.codes.size, dtype=np.int64)
        # Assignment through repeated indices keeps the last value: backwards for the first of an id.
        first_row = np.full(len(self.ids), NEVER)
        first_row[self.codes[::-1]] = rows[::-1]
        self.first: Flags = first_row[self.codes] == rows
        self.decided: Integers = occurred_us[first_row]


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

    def update(self, outcomes: pa.Table) -> None:
        """Take outcomes of this label, later in the log than all that came before."""
        found = pc.index_in(ids(outcomes.column("decision_id"), "decision_id"), value_set=self.of.ids)
        codes = np.asarray(found.fill_null(-1).to_numpy(), dtype=np.int64)
        rows = np.flatnonzero(codes >= 0)
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

    @property
    def superseded(self) -> int:
        """How many outcomes within the window were replaced by a later one."""
        return self.within - int(np.count_nonzero(self.position != NEVER))

    def rows(self, values: npt.NDArray[Any]) -> Any:
        """Return what is kept per id as one value a decision row."""
        return values[self.of.codes]
