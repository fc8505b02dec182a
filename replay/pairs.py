"""Pairs: what the champion did and what the challenger would have done, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.columns import count_values, int64, mask_of, require
from replay.errors import ScoresDisagree
from replay.join import Joined

SCORE_COLUMNS = ("decision_position", "decision_id", "score", "decision", "error")
NO_SCORE = "no score"

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Paired:
    """Decisions that both models judged and whose outcome is known.

    `table`: position, decision_id, occurred_at, unit, champion_score, champion_decision,
    challenger_score, challenger_decision, label, and what `pair` was asked for beside; in position order.
    Law: `joined rows == scored + unscored + failed`, and `sum(errors.values()) == failed`. `table` holds the
    scored rows, and the failed ones where they were asked for.
    """

    table: pa.Table
    scored: int
    unscored: int
    failed: int
    errors: dict[str, int]


def pair(
    joined: Joined, scores: pa.Table, *, also: Mapping[str, str] | None = None, errors: str | None = None
) -> Paired:
    """Return the joined decisions with the challenger's scores beside what was decided live.

    `also` names columns to carry along, and the columns of the decisions that they come from. With `errors`
    failed decisions are kept, without an answer, and the column of that name tells why they failed.

    Scores are matched by `decision_position`; when a position was scored twice the first row wins.
    Unscored: no score row. Failed: a score row with an error, or with neither score nor decision.

    Raises:
        ScoresDisagree: a score's id is not the id of the decision at its position.
    """
    require(scores, SCORE_COLUMNS, "scores")
    table = joined.table
    row = _rows_of(int64(table.column("position"), "position"), scores)
    found = row >= 0
    unscored = int(np.count_nonzero(~found))
    if unscored:
        table, row = table.filter(mask_of(found)), row[found]
    matched = _taken(scores.select(list(SCORE_COLUMNS)), row)
    _check_ids(table, matched)

    reasons = _reasons(matched)
    failed = len(reasons) - reasons.null_count
    if failed and errors is None:
        good = pc.is_null(reasons)
        table, matched = table.filter(good), matched.filter(good)
    paired = _side_by_side(table, matched)
    for name, source in (also or {}).items():
        paired = paired.append_column(name, table.column(source))
    if errors is not None:
        paired = _with_errors(paired, reasons, errors)
    return Paired(
        table=paired,
        scored=reasons.null_count,
        unscored=unscored,
        failed=failed,
        errors=count_values(reasons),
    )


def _rows_of(positions: Integers, scores: pa.Table) -> Integers:
    """Return for each position the first row of `scores` that names it, or -1."""
    scored = int64(scores.column("decision_position"), "decision_position")
    if not scored.size:
        return np.full(positions.size, -1, dtype=np.int64)
    if np.array_equal(scored, positions):  # every decision of a range, scored by one run
        return np.arange(positions.size, dtype=np.int64)
    order = np.argsort(scored, kind="stable")  # stable: of equals the first row comes first
    at = np.minimum(np.searchsorted(scored[order], positions, side="left"), scored.size - 1)
    return np.where(scored[order][at] == positions, order[at], -1).astype(np.int64)


def _taken(scores: pa.Table, row: Integers) -> pa.Table:
    """Return the rows; what lies together already is not copied."""
    if row.size and bool(np.all(np.diff(row) == 1)):
        return scores.slice(int(row[0]), row.size)
    return scores.take(pa.array(row, pa.int64()))


def _check_ids(table: pa.Table, matched: pa.Table) -> None:
    own, echoed = (each.column("decision_id").cast(pa.large_string()) for each in (table, matched))
    wrong = pc.index(pc.equal(own, echoed), value=False).as_py()
    if wrong >= 0:
        position = table.column("position")[wrong].as_py()
        raise ScoresDisagree(position, own[wrong].as_py(), echoed[wrong].as_py())


def _reasons(matched: pa.Table) -> pa.ChunkedArray:
    """Return the error of each row; a row without error, score and decision fails too."""
    nothing = pc.and_(pc.is_null(matched.column("score")), pc.is_null(matched.column("decision")))
    error = matched.column("error").cast(pa.string())
    if error.null_count == len(error) and not pc.any(nothing, min_count=0).as_py():
        return error
    return pc.if_else(pc.and_(nothing, pc.is_null(error)), NO_SCORE, error)


def _with_errors(paired: pa.Table, reasons: pa.ChunkedArray, name: str) -> pa.Table:
    """Return the table with the reason of each failure; what failed has no answer."""
    for answer in ("challenger_score", "challenger_decision"):
        place = paired.schema.get_field_index(answer)
        nothing = pa.nulls(paired.num_rows, paired.schema.field(answer).type)
        kept = pc.if_else(pc.is_null(reasons), paired.column(answer), nothing)
        paired = paired.set_column(place, answer, kept)
    return paired.append_column(name, reasons)


def _side_by_side(table: pa.Table, matched: pa.Table) -> pa.Table:
    columns = {
        "position": table.column("position"),
        "decision_id": table.column("decision_id"),
        "occurred_at": table.column("occurred_at"),
        "unit": table.column("unit"),
        "champion_score": table.column("score").cast(pa.float64()),
        "champion_decision": table.column("decision").cast(pa.string()),
        "challenger_score": matched.column("score").cast(pa.float64()),
        "challenger_decision": matched.column("decision").cast(pa.string()),
        "label": table.column("label"),
    }
    return pa.table(columns)
