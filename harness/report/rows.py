"""The rows behind a report: the decisions of the window that both models scored, with known outcomes.

They are read, counted into figures and dropped; none of them enters the page.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.asked_alone import challenger_took
from harness.experiments import Experiment
from harness.log.log import Log
from harness.replays import read_scores
from harness.window import COUNTED, OUTSIDE, PARTIAL, microseconds, row_codes
from recorders.columns import DECISION_ENVELOPE, OUTCOME_SCHEMA
from replay.join import Joined, join
from replay.pairs import Paired, pair
from replay.ranges import AsOf

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_COLUMNS = ("decision_id", "occurred_at", "unit", "model", "model_version", "score", "decision", "latency_us")


@dataclass(frozen=True, slots=True)
class Rows:
    """Decisions of a window as of a place, as arrays of one length in order of position.

    `table` has the paired columns; its `label` is null where no outcome in time is known. `mature` rows are
    old enough, and of a closed day where days are the unit. `challenger_ms` are a sample: single rows that
    were asked alone. `outcome_position` is 0 and `age_hours` NaN
    without outcome. `champion` made most of the decisions, as name:version. `decisions` are all of the range.
    """

    table: pa.Table
    mature: Flags
    outcome_position: Integers
    age_hours: Floats
    mature_count: int
    late_count: int
    counted: int
    scored: int
    errors: dict[str, int]
    failed: int
    champion: str
    champion_ms: Floats
    decisions: pa.Table
    challenger_ms: Floats

    @property
    def known(self) -> Flags:
        """Rows that are mature and have their outcome."""
        return self.mature & (self.outcome_position > 0)

    @property
    def last_counted(self) -> dt.datetime | None:
        """The newest of the decisions that are known, None when none is."""
        newest = pc.max(self.table.column("occurred_at").filter(pa.array(self.known))).as_py()
        assert newest is None or isinstance(newest, dt.datetime)
        return newest

    def floats(self, name: str) -> Floats:
        """Return a column of floats, NaN where it is null."""
        column = pc.fill_null(self.table.column(name).cast(pa.float64()), float("nan"))
        return np.asarray(column.to_numpy(), dtype=np.float64)


def read_rows(
    log: Log, experiment: Experiment, place: AsOf, *, start: int, stop: int, scores_up_to: int
) -> Rows:
    """Return the rows of [start, stop) as known at `place`, with scores up to position `scores_up_to`."""
    point = experiment.decision_point
    fields = [field for field in DECISION_ENVELOPE if field.name in _COLUMNS]
    decisions = _table(log, start, stop, "decision", point, fields)
    decisions = decisions.filter(pa.array(_first_of_id(decisions)))
    outcomes = _table(log, 1, place.position + 1, "outcome", point, list(OUTCOME_SCHEMA))
    occurred = decisions.column("occurred_at").cast(pa.int64()).to_numpy()
    unit = experiment.plan.unit
    codes = row_codes(
        occurred,
        experiment.bounds,
        timezone=unit.timezone if unit.kind == "day" else None,
        now=place,
        label_window=experiment.label_window,
    )
    joined = join(
        decisions,
        outcomes,
        as_of=place,
        window=experiment.label_window,
        label=experiment.declared.label.name,
        exclude=pa.array(codes != COUNTED),
    )
    inside = (codes != OUTSIDE) & (codes != PARTIAL)
    old = occurred <= microseconds(place.time - experiment.label_window)
    chosen = decisions.filter(pa.array(inside))
    scores = read_scores(log, experiment.challenger.digest, point, start, stop, up_to=scores_up_to)
    took = challenger_took(log, experiment, up_to=scores_up_to)
    within = [us / 1_000 for position, us in sorted(took.items()) if start <= position < stop]
    alone = np.asarray(within, dtype=np.float64)
    return _assembled(chosen, joined, scores, (old & (codes == COUNTED))[inside], alone)


def _assembled(
    chosen: pa.Table, joined: Joined, scores: pa.Table, mature: Flags, challenger_ms: Floats
) -> Rows:
    positions = chosen.column("position").to_numpy()
    outcome_position, age_hours, label = _outcomes(positions, joined.table)
    table = chosen.append_column("label", pa.array(label, pa.float64(), mask=np.isnan(label)))
    first = np.ones(chosen.num_rows, dtype=np.bool_)
    paired = pair(Joined(table, chosen.num_rows, {}, {}, first), scores)
    kept = np.searchsorted(positions, paired.table.column("position").to_numpy())
    return Rows(
        table=paired.table,
        mature=mature[kept],
        outcome_position=outcome_position[kept],
        age_hours=age_hours[kept],
        mature_count=joined.table.num_rows + joined.reasons["missing"] + joined.reasons["late"],
        late_count=joined.reasons["late"],
        counted=chosen.num_rows,
        scored=paired.scored + paired.failed,
        errors=_errors(paired),
        failed=paired.failed,
        champion=_champion(chosen),
        champion_ms=_milliseconds(chosen),
        decisions=chosen,
        challenger_ms=challenger_ms,
    )


def _outcomes(positions: Integers, joined: pa.Table) -> tuple[Integers, Floats, Floats]:
    """Return position, age in hours and label of each decision's outcome: 0 and NaN where there is none."""
    at = np.searchsorted(positions, joined.column("position").to_numpy())
    place = np.zeros(positions.size, dtype=np.int64)
    age, label = np.full(positions.size, np.nan), np.full(positions.size, np.nan)
    place[at] = joined.column("outcome_position").to_numpy()
    happened = joined.column("outcome_occurred_at").cast(pa.int64()).to_numpy()
    occurred = joined.column("occurred_at").cast(pa.int64()).to_numpy()
    age[at] = np.maximum(0, happened - occurred) / 3.6e9
    label[at] = joined.column("label").to_numpy()
    return place, age, label


def _errors(paired: Paired) -> dict[str, int]:
    return dict(sorted(paired.errors.items(), key=lambda item: (-item[1], item[0])))


def _champion(chosen: pa.Table) -> str:
    """Return the model of most decisions as name:version; ties go to the first name."""
    if not chosen.num_rows:
        return ""
    names = pc.binary_join_element_wise(chosen.column("model"), chosen.column("model_version"), ":")
    counts = sorted((-pair_["counts"], pair_["values"]) for pair_ in pc.value_counts(names).to_pylist())
    return str(counts[0][1])


def _milliseconds(chosen: pa.Table) -> Floats:
    known = chosen.column("latency_us").drop_null()
    return np.asarray(known.to_numpy(), dtype=np.float64) / 1_000


def _first_of_id(decisions: pa.Table) -> Flags:
    first = np.zeros(decisions.num_rows, dtype=np.bool_)
    if decisions.num_rows:
        ids = decisions.column("decision_id").combine_chunks().dictionary_encode().indices.to_numpy()
        first[np.unique(ids, return_index=True)[1]] = True
    return first


def _table(log: Log, start: int, stop: int, kind: str, point: str, fields: list[Any]) -> pa.Table:
    schema = pa.schema([pa.field("position", pa.int64(), nullable=False), *fields])
    batches = log.read(start, stop, kind=kind, decision_point=point, columns=[field.name for field in fields])
    plain = (pa.RecordBatch.from_arrays([b.column(n) for n in schema.names], schema=schema) for b in batches)
    return pa.Table.from_batches(plain, schema=schema)


def days_between(start: dt.datetime, stop: dt.datetime) -> float:
    """Return the days from one instant to another, not below a thousandth."""
    return max((stop - start).total_seconds() / 86_400, 0.001)
