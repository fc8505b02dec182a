"""Join: decisions with the outcome known at a position, or the reason why not (docs/adr/0005)."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.columns import INSTANT, ids, instants, int64, mask_of, require, sorted_by
from replay.errors import ColumnsError
from replay.ranges import AsOf

REASONS = ("duplicate", "excluded", "immature", "missing", "late")
OUTCOMES = ("used", "superseded", "late", "withdrawn", "held", "orphan", "other_label")

_USED, _DUPLICATE, _EXCLUDED, _IMMATURE, _MISSING, _LATE = range(6)
_MICROSECOND = timedelta(microseconds=1)

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Joined:
    """Decisions that count for a label, and an account of every row that does not.

    `table` has the columns of the decisions, in position order, then `label` (float64),
    `outcome_position` (int64) and `outcome_occurred_at`.
    Law: `rows_in == table.num_rows + sum(reasons.values())`. `outcomes` accounts for the outcome rows alike:
    used, superseded (a later one came), late (it happened after its decision's window), withdrawn, held
    (its decision is immature, excluded or without a place here), orphan (no such decision), other_label.
    """

    table: pa.Table
    rows_in: int
    reasons: dict[str, int]
    outcomes: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Latest:
    """Per decision row: the row of its latest outcome within the window, or -1, and whether a late one came.

    The counts are of outcome rows.
    """

    row: Integers
    came_late: Flags
    superseded: int
    late: int
    orphan: int


def join(
    decisions: pa.Table,
    outcomes: pa.Table,
    *,
    as_of: AsOf,
    window: timedelta,
    label: str,
    exclude: pa.Array | pa.ChunkedArray | None = None,
) -> Joined:
    """Return the mature decisions with their latest outcome as known at `as_of`.

    Rows above `as_of.position` do not exist, even when they are handed over. A decision gets the first
    reason that holds: duplicate (an earlier position has its id), excluded (`exclude` is true there, in
    the order of `decisions`), immature (age below `window`, *however early its outcome came*: else quick
    outcomes would be over-represented), missing (no outcome within the window, or the latest one there is
    withdrawn: null or NaN), late (outcomes came, but all happened after `occurred_at + window`).
    The latest outcome is the one with the highest position among those that happened within the window:
    news from after it neither replaces a label nor takes one away. Reduced to one row per decision
    before anything is joined, so the result has no ties to break and no rows to multiply.

    Laws (tests/laws/test_join_laws.py): equal to a slow oracle for any arrival order; a function of the
    prefix. Cost: ids only are hashed; the other columns are filtered once.

    Raises:
        ColumnsError: a column is missing, naive, or null where a value must be.
    """
    require(decisions, ("position", "decision_id", "occurred_at"), "decisions")
    require(outcomes, ("position", "decision_id", "label", "value", "occurred_at"), "outcomes")
    decisions = _prefix(_with_mask(decisions, exclude), as_of.position)
    outcomes = _prefix(outcomes, as_of.position)
    excluded = _flags(decisions.column("__excluded"))
    decisions = decisions.drop_columns(["__excluded"])

    of_label = outcomes.filter(pc.equal(outcomes.column("label").cast(pa.large_string()), label))
    first, latest = _match(decisions, of_label, window)
    chosen, codes = _judge(decisions, of_label, first, excluded, latest, as_of, window)
    used = np.flatnonzero(codes == _USED)
    return Joined(
        table=_with_outcomes(decisions, of_label, used, latest.row[used]),
        rows_in=decisions.num_rows,
        reasons={name: int(np.count_nonzero(codes == code)) for code, name in enumerate(REASONS, start=1)},
        outcomes={**chosen, "other_label": outcomes.num_rows - of_label.num_rows},
    )


def _with_mask(decisions: pa.Table, exclude: pa.Array | pa.ChunkedArray | None) -> pa.Table:
    if "__excluded" in decisions.schema.names:
        raise ColumnsError("The decisions have a column '__excluded'.", "Expected the log's columns only.")
    if exclude is None:
        return decisions.append_column("__excluded", pa.nulls(decisions.num_rows, pa.bool_()))
    if len(exclude) != decisions.num_rows:
        raise ColumnsError(
            f"The exclusion mask has {len(exclude)} rows, the decisions {decisions.num_rows}.",
            "Expected one flag a decision.",
        )
    return decisions.append_column("__excluded", exclude)


def _flags(column: pa.ChunkedArray) -> Flags:
    return np.asarray(column.fill_null(False).to_numpy(), dtype=np.bool_)  # noqa: FBT003  Arrow's own signature


def _prefix(table: pa.Table, position: int) -> pa.Table:
    """Return the rows up to `position`, in position order."""
    at = int64(table.column("position"), "position")
    if at.size and int(at.max()) > position:
        known = at <= position
        table, at = table.filter(mask_of(known)), at[known]
    return sorted_by(table, at)


def _match(decisions: pa.Table, outcomes: pa.Table, window: timedelta) -> tuple[Flags, _Latest]:
    """Return which decisions are the first with their id, and each one's latest outcome row.

    Both id columns go through one hash table, decisions first: an id that only outcomes name gets a
    code above all codes of the decisions.
    """
    codes = _codes(
        ids(decisions.column("decision_id"), "decision_id"),
        ids(outcomes.column("decision_id"), "decision_id"),
    )
    codes, outcome_codes = codes[: decisions.num_rows], codes[decisions.num_rows :]
    size = int(codes.max(initial=-1)) + 1
    rows = np.arange(codes.size, dtype=np.int64)
    # Assignment through repeated indices keeps the last value: backwards for the first decision of an
    # id, forwards for the latest outcome.
    first_row = np.full(size, -1, dtype=np.int64)
    first_row[codes[::-1]] = rows[::-1]
    known = np.flatnonzero(outcome_codes < size)
    of = outcome_codes[known]
    decided = instants(decisions.column("occurred_at"), "occurred_at")
    happened = instants(outcomes.column("occurred_at"), "occurred_at")
    late = happened[known] > decided[first_row[of]] + window // _MICROSECOND
    latest_row = np.full(size, -1, dtype=np.int64)
    latest_row[of[~late]] = known[~late]
    came_late = np.zeros(size, dtype=np.bool_)
    came_late[of[late]] = True
    late_rows = int(np.count_nonzero(late))
    latest = _Latest(
        row=latest_row[codes],
        came_late=came_late[codes],
        superseded=int(known.size) - late_rows - int(np.count_nonzero(latest_row >= 0)),
        late=late_rows,
        orphan=int(outcome_codes.size - known.size),
    )
    return first_row[codes] == rows, latest


def _codes(*columns: pa.ChunkedArray) -> Integers:
    """Return one integer a row of all columns end to end, numbered by first occurrence."""
    chunks = [chunk for column in columns for chunk in column.chunks]
    together = pa.concat_arrays(chunks) if chunks else pa.array([], pa.large_string())
    return np.asarray(together.dictionary_encode().indices, dtype=np.int64)


def _judge(
    decisions: pa.Table,
    outcomes: pa.Table,
    first: Flags,
    excluded: Flags,
    latest: _Latest,
    as_of: AsOf,
    window: timedelta,
) -> tuple[dict[str, int], npt.NDArray[np.int8]]:
    """Return the account of the outcomes and one code a decision."""
    decided = instants(decisions.column("occurred_at"), "occurred_at")
    values = outcomes.column("value").cast(pa.float64())
    withdrawn = np.isnan(values.to_numpy())  # null reads as NaN; neither is a label

    has = latest.row >= 0
    gone = has & withdrawn[np.where(has, latest.row, 0)] if outcomes.num_rows else has

    codes = np.full(decided.size, _USED, dtype=np.int8)  # the first reason that holds is written last
    codes[~has & latest.came_late] = _LATE
    codes[(~has & ~latest.came_late) | gone] = _MISSING
    codes[_microseconds(as_of) - decided < window // _MICROSECOND] = _IMMATURE
    codes[excluded] = _EXCLUDED
    codes[~first] = _DUPLICATE

    own = first & has
    account = {
        "used": int(np.count_nonzero(own & (codes == _USED))),
        "superseded": latest.superseded,
        "late": latest.late,
        "withdrawn": int(np.count_nonzero(own & (codes == _MISSING))),
        "held": int(np.count_nonzero(own & ((codes == _IMMATURE) | (codes == _EXCLUDED)))),
        "orphan": latest.orphan,
    }
    return account, codes


def _microseconds(as_of: AsOf) -> int:
    if as_of.time.tzinfo is None:
        raise ColumnsError(f"The log's time {as_of.time} is naive.", "Expected an instant with its zone.")
    return int(pa.scalar(as_of.time, type=INSTANT).value)


def _with_outcomes(decisions: pa.Table, outcomes: pa.Table, used: Integers, row: Integers) -> pa.Table:
    if used.size < decisions.num_rows:
        keep = np.zeros(decisions.num_rows, dtype=np.bool_)
        keep[used] = True
        decisions = decisions.filter(mask_of(keep))
    chosen = outcomes.select(["value", "position", "occurred_at"]).take(pa.array(row))
    return (
        decisions.append_column("label", chosen.column("value").cast(pa.float64()))
        .append_column("outcome_position", chosen.column("position").cast(pa.int64()))
        .append_column("outcome_occurred_at", chosen.column("occurred_at").cast(INSTANT))
    )
