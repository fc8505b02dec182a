"""Join: decisions with the outcome known at a position, or the reason why not (docs/adr/0005)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.columns import INSTANT, ids, instants, int64, mask_of, require, sorted_by
from replay.errors import ColumnsError
from replay.id_index import NEVER, IdIndex
from replay.matching import Decided, Flags, Latest
from replay.ranges import AsOf

REASONS = ("duplicate", "excluded", "immature", "missing", "late")
OUTCOMES = ("used", "superseded", "late", "withdrawn", "held", "orphan", "other_label")

USED, DUPLICATE, EXCLUDED, IMMATURE, MISSING, LATE = range(6)

Codes = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Joined:
    """Decisions that count for a label, and an account of every row that does not.

    `table` has the columns of the decisions, in position order, then `label` (float64),
    `outcome_position` (int64) and `outcome_occurred_at`.
    `first` says which of the `rows_in` are no duplicates, by position. `missing`, where it was asked for,
    holds the decisions that were counted so.
    Law: `rows_in == table.num_rows + sum(reasons.values())`. `outcomes` accounts for the outcome rows alike:
    used, superseded (a later one came), late (it happened after its decision's window), withdrawn, held
    (its decision is immature, excluded or without a place here), orphan (no such decision), other_label.
    """

    table: pa.Table
    rows_in: int
    reasons: dict[str, int]
    outcomes: dict[str, int]
    first: Flags
    missing: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class OneLabel:
    """Outcomes of the label that is joined, in order of position, known by then, with an index of their ids.

    `other_label` of those among which they stood were of others.
    """

    table: pa.Table
    names: IdIndex
    other_label: int


def join(
    decisions: pa.Table,
    outcomes: pa.Table | Iterable[pa.Table | OneLabel],
    *,
    as_of: AsOf,
    window: timedelta,
    label: str,
    exclude: pa.Array | pa.ChunkedArray | None = None,
    keep_missing: bool = False,
    index: IdIndex | None = None,
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

    Outcomes may come in several tables, later ones later in the log, of which one is held at a time. Who
    joins the same ones again and again hands them over sorted out. `index`: of the ids of `decisions`, which
    are in order and up to `as_of` then.

    Laws (tests/laws/test_join_laws.py): equal to a slow oracle for any arrival order; a function of the
    prefix. Cost: ids only are hashed, once for each table of outcomes; the other columns are filtered once.

    Raises:
        ColumnsError: a column is missing, naive, or null where a value must be.
    """
    require(decisions, ("position", "decision_id", "occurred_at"), "decisions")
    decisions = _prefix(_with_mask(decisions, exclude), as_of.position)
    excluded = _flags(decisions.column("__excluded"))
    decisions = decisions.drop_columns(["__excluded"])

    occurred_us = instants(decisions.column("occurred_at"), "occurred_at")
    decided = Decided.of(decisions.column("decision_id"), occurred_us, index)
    latest, other_label = Latest(decided, window), 0
    for some in [outcomes] if isinstance(outcomes, pa.Table) else outcomes:
        named = some if isinstance(some, OneLabel) else one_label(some, label, as_of.position)
        latest.update(named.table, named.names)
        other_label += named.other_label
    codes = judge(latest, excluded, as_of)
    used = codes == USED
    return Joined(
        table=_with_outcomes(decisions, latest, used),
        rows_in=decisions.num_rows,
        reasons=reasons(codes),
        outcomes={**account(latest, codes), "other_label": other_label},
        first=decided.first,
        missing=decisions.filter(mask_of(codes == MISSING)) if keep_missing else None,
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


def one_label(outcomes: pa.Table, label: str, position: int) -> OneLabel:
    """Return the outcomes of a label up to a position.

    Raises:
        ColumnsError: a column is missing, or an id is null.
    """
    require(outcomes, ("position", "decision_id", "label", "value", "occurred_at"), "outcomes")
    outcomes = _prefix(outcomes, position)
    named = pc.equal(outcomes.column("label").cast(pa.large_string()), label)
    # Most logs have one label: nothing is copied to leave nothing out.
    own = outcomes if pc.all(named, skip_nulls=False).as_py() else outcomes.filter(named)
    names = IdIndex(ids(own.column("decision_id"), "decision_id"))
    return OneLabel(own, names, outcomes.num_rows - own.num_rows)


def judge(latest: Latest, excluded: Flags, as_of: AsOf) -> Codes:
    """Return for each decision row that it counts, or the first reason why it does not."""
    has, late = latest.rows(latest.position) != NEVER, latest.rows(latest.came_late)
    gone = has & np.isnan(latest.rows(latest.value))  # null reads as NaN; neither is a label
    age = microseconds(as_of) - latest.of.occurred_us
    codes = np.full(age.size, USED, dtype=np.int8)  # the first reason that holds is written last
    codes[~has & late] = LATE
    codes[(~has & ~late) | gone] = MISSING
    codes[age < latest.window_us] = IMMATURE
    codes[excluded] = EXCLUDED
    codes[~latest.of.first] = DUPLICATE
    return codes


def reasons(codes: Codes) -> dict[str, int]:
    """Return how many rows each reason took."""
    return {name: int(np.count_nonzero(codes == code)) for code, name in enumerate(REASONS, start=1)}


def account(latest: Latest, codes: Codes) -> dict[str, int]:
    """Return what became of the outcomes of the label, `other_label` aside."""
    own = latest.of.first & (latest.rows(latest.position) != NEVER)
    used, withdrawn = (int(np.count_nonzero(own & (codes == code))) for code in (USED, MISSING))
    return {
        "used": used,
        "superseded": latest.superseded,
        "late": latest.late,
        "withdrawn": withdrawn,
        "held": int(np.count_nonzero(own)) - used - withdrawn,
        "orphan": latest.orphan,
    }


def microseconds(as_of: AsOf) -> int:
    """Return the log's time at a place in microseconds since 1970; a naive one is refused."""
    if as_of.time.tzinfo is None:
        raise ColumnsError(f"The log's time {as_of.time} is naive.", "Expected an instant with its zone.")
    return int(pa.scalar(as_of.time, type=INSTANT).value)


def _with_outcomes(decisions: pa.Table, latest: Latest, used: Flags) -> pa.Table:
    if not used.all():
        decisions = decisions.filter(mask_of(used))
    of = latest.of.codes[used]
    return (
        decisions.append_column("label", pa.array(latest.value[of]))
        .append_column("outcome_position", pa.array(latest.position[of]))
        .append_column("outcome_occurred_at", pa.array(latest.happened[of]).cast(INSTANT))
    )
