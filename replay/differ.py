"""Differences of two training sets: which rows came, went or changed, and by what; pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.columns import int64, mask_of
from replay.join import IMMATURE, Codes
from replay.matching import Flags, Integers

KINDS = ("added", "matured", "corrected", "relabelled", "erased", "removed")


@dataclass(frozen=True, slots=True)
class Side:
    """One set: its rows by position, what each decision of its range was (USED or a reason), the rules."""

    rows: pa.Table
    positions: Integers
    codes: Codes
    labels: Sequence[str]
    features: Sequence[str]
    rules: object = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """How many rows changed in which way, and those rows: decision_id, position, change.

    `added`: decisions that the first set's range did not hold. `matured`: they were immature there.
    `corrected`: an outcome came, or was withdrawn, for a decision that was old enough. `relabelled`: rows of
    both with another label. `erased`: rows of both with other features, which nothing but an erasure
    changes. `removed`: rows of the first that the second one's words leave out. Where the sets have other
    rules for their labels nothing tells an outcome from a rule: rows are `added` and `removed` alone.
    `apart` names what else the specifications have other than the end of the range.
    """

    counts: dict[str, int]
    rows: pa.Table
    apart: tuple[str, ...] = ()


def difference(before: Side, after: Side) -> Difference:
    """Return what leads from one set to the other. Both are of one log, rows in order of position."""
    old, new = (int64(side.rows.column("position"), "position") for side in (before, after))
    fresh, gone = ~np.isin(new, old), ~np.isin(old, new)
    both_old, both_new = before.rows.filter(mask_of(~gone)), after.rows.filter(mask_of(~fresh))
    shared = [name for name in before.features if name in after.features]
    labels = [name for name in before.labels if name in after.labels]
    erased = differs(both_old, both_new, shared)
    relabelled = differs(both_old, both_new, labels) & ~erased
    came, went = _reason(before, new[fresh]), _reason(after, old[gone])
    if before.rules != after.rules:
        came, went = np.zeros_like(came), np.zeros_like(went)
    parts = [
        _changed(
            after.rows.filter(mask_of(fresh)), np.select([came == IMMATURE, came > IMMATURE], [1, 2], 0)
        ),
        _changed(both_new.filter(mask_of(relabelled)), np.full(int(relabelled.sum()), 3)),
        _changed(both_new.filter(mask_of(erased)), np.full(int(erased.sum()), 4)),
        _changed(before.rows.filter(mask_of(gone)), np.where(went > IMMATURE, 2, 5)),
    ]
    rows = pa.concat_tables(parts).combine_chunks().sort_by("position")
    changes = rows.column("change")
    return Difference({kind: pc.sum(pc.equal(changes, kind)).as_py() or 0 for kind in KINDS}, rows)


def differs(before: pa.Table, after: pa.Table, names: Sequence[str]) -> Flags:
    """Return the rows in which a column differs; null and null are alike, and NaN and NaN."""
    found = np.zeros(before.num_rows, dtype=np.bool_)
    for name in names:
        left, right = before.column(name), after.column(name)
        if pa.types.is_list(left.type):
            pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
            found |= np.array([repr(a) != repr(b) for a, b in pairs], np.bool_)  # NaN is like NaN
            continue
        differs = pc.not_equal(left, right)
        if pa.types.is_floating(left.type):
            differs = pc.and_not_kleene(differs, pc.and_(pc.is_nan(left), pc.is_nan(right)))
        found |= np.asarray(differs.fill_null(False), dtype=np.bool_)  # noqa: FBT003  Arrow's own signature
        found |= np.asarray(left.is_null()) != np.asarray(right.is_null())
    return found


def _reason(side: Side, positions: Integers) -> Integers:
    """Return what the decisions at these positions were in a set: a code, or -1 outside of its range."""
    at = np.searchsorted(side.positions, positions)
    nearest = np.minimum(at, side.positions.size - 1)
    known = (at < side.positions.size) & (side.positions[nearest] == positions)
    return np.where(known, side.codes[nearest], -1)


def _changed(rows: pa.Table, kinds: Integers) -> pa.Table:
    names = pa.array(KINDS).take(pa.array(kinds, pa.int64()))
    return pa.table(
        {"decision_id": rows.column("decision_id"), "position": rows.column("position"), "change": names}
    )
