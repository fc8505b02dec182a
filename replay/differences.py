"""Where two models differ on the same decisions: counted, cut into slices, the worst rows kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.columns import FEATURE
from replay.slice_counts import Slices
from replay.tolerance import Tolerance

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

EQUAL, WITHIN, DIFFERS, KNOWN, LACKING = "equal", "within", "differs", "known", "lacking"
STATES = (EQUAL, WITHIN, DIFFERS, KNOWN, LACKING)


@dataclass(frozen=True, slots=True)
class Sides:
    """The answers of two models to the same rows, in order; a score that is not there is NaN.

    `a_lacks` and `b_lacks`: why a side has no answer ("no score row", or its error), None where it has one.
    """

    a_score: Floats
    b_score: Floats
    a_decision: pa.Array
    b_decision: pa.Array
    a_lacks: pa.Array
    b_lacks: pa.Array

    def slice(self, start: int, rows: int) -> "Sides":
        """Return the answers to `rows` rows from row `start` on."""
        stop = start + rows
        return Sides(
            self.a_score[start:stop],
            self.b_score[start:stop],
            self.a_decision.slice(start, rows),
            self.b_decision.slice(start, rows),
            self.a_lacks.slice(start, rows),
            self.b_lacks.slice(start, rows),
        )

    @property
    def apart(self) -> Floats:
        """How far the scores are apart: infinite where no double holds it, NaN where one is not there."""
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(np.abs(self.a_score - self.b_score), dtype=np.float64)

    @property
    def flipped(self) -> Flags:
        """Where both decided, and not alike."""
        return _true(pc.not_equal(self.a_decision, self.b_decision))


def states(sides: Sides, tolerance: Tolerance, known: Flags) -> npt.NDArray[np.object_]:
    """Return one of STATES a row: a decision that flips differs under any tolerance.

    `known`: rows whose difference was registered beforehand. Equal means equal bits and the same decision.
    """
    lacking = _true(pc.or_(pc.is_valid(sides.a_lacks), pc.is_valid(sides.b_lacks)))
    flipped = sides.flipped
    same = Tolerance("exact").within(sides.a_score, sides.b_score)
    found = np.full(lacking.size, DIFFERS, dtype=object)
    found[known] = KNOWN
    found[tolerance.within(sides.a_score, sides.b_score) & ~flipped] = WITHIN
    found[same & ~flipped] = EQUAL
    found[lacking] = LACKING
    return found


@dataclass(slots=True)
class Differences:
    """The account of a comparison: rows by state, flips by decision, reasons, and the worst rows.

    Neither `flips`, `largest` nor `slices` has rows whose difference was known.
    Law: `rows == sum(by_state.values())`.
    """

    keep: int
    rows: int = 0
    by_state: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    flips: dict[tuple[str, str], int] = field(default_factory=dict)
    lacking: dict[str, int] = field(default_factory=dict)
    largest: float = 0.0
    slices: Slices = field(default_factory=Slices)
    worst: pa.Table | None = None

    def update(
        self, rows: pa.RecordBatch, sides: Sides, found: npt.NDArray[np.object_], cost: Floats
    ) -> None:
        """Count a batch. `rows`: position, decision_id and features; `cost` weighs a difference."""
        self.rows += rows.num_rows
        for state in STATES:
            self.by_state[state] += int(np.count_nonzero(found == state))
        unknown = found != KNOWN
        for a, b, count in _pairs(sides, unknown):
            self.flips[a, b] = self.flips.get((a, b), 0) + count
        for name, lacks in (("a", sides.a_lacks), ("b", sides.b_lacks)):
            for entry in lacks.drop_null().value_counts().to_pylist():
                reason = f"{name}: {entry['values']}"
                self.lacking[reason] = self.lacking.get(reason, 0) + entry["counts"]
        differs = found == DIFFERS
        features = rows.select([name for name in rows.schema.names if name.startswith(FEATURE)])
        compared = found != LACKING
        asked = compared & unknown  # what was known beforehand leaves no other slice to blame
        self.slices.update(features.filter(pa.array(asked)), differs[asked])
        apart = np.nan_to_num(sides.apart, nan=0.0, posinf=np.inf)
        self.largest = max(self.largest, float(apart[asked].max(initial=0.0)))
        self._keep(rows, sides, np.flatnonzero(differs), _weighed(apart, cost))

    def _keep(self, rows: pa.RecordBatch, sides: Sides, at: npt.NDArray[np.int64], weight: Floats) -> None:
        """Keep the rows that weigh most; of equals the flips first, then the lower position."""
        if not at.size:
            return
        taken = pa.array(at)
        columns: Mapping[str, pa.Array] = {
            "position": rows.column("position").take(taken),
            "decision_id": rows.column("decision_id").take(taken),
            "a_score": pa.array(sides.a_score[at]),
            "b_score": pa.array(sides.b_score[at]),
            "a_decision": sides.a_decision.take(taken),
            "b_decision": sides.b_decision.take(taken),
            "flipped": pa.array(sides.flipped[at]),
            "weight": pa.array(weight[at]),
        }
        new = pa.table(dict(columns))
        all_of_them = new if self.worst is None else pa.concat_tables([self.worst, new])
        order = [("weight", "descending"), ("flipped", "descending"), ("position", "ascending")]
        self.worst = all_of_them.sort_by(order).slice(0, self.keep)


def _weighed(apart: Floats, cost: Floats) -> Floats:
    """Return differences times what they cost; one that costs nothing weighs nothing, however large."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.nan_to_num(apart * cost, nan=0.0, posinf=np.inf)


def _pairs(sides: Sides, rows: Flags) -> list[tuple[str, str, int]]:
    both = pc.and_(pc.is_valid(sides.a_decision), pc.is_valid(sides.b_decision))
    taken = pa.array(rows & _true(both))
    table = pa.table({"a": sides.a_decision.filter(taken), "b": sides.b_decision.filter(taken)})
    counted = table.group_by(["a", "b"], use_threads=False).aggregate([([], "count_all")])
    return sorted((row["a"], row["b"], row["count_all"]) for row in counted.to_pylist())


def _true(flags: pa.Array) -> Flags:
    return np.asarray(pc.fill_null(flags, False).to_numpy(zero_copy_only=False), dtype=np.bool_)  # noqa: FBT003
