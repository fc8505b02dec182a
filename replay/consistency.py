"""Consistency: features as they were served against features recomputed now, cell by cell; pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.errors import ToleranceUnneeded, ToleranceUnusable
from replay.matching import Flags, Floats

WORST = 5
_FORM = re.compile(r"(exact)|(ulp):([0-9]+)|(abs|rel):([0-9.eE+-]+)")
_SIGN = np.int64(np.iinfo(np.int64).min)


class Tolerance(msgspec.Struct, frozen=True):
    """How far a recomputed number may lie from the served one: not at all, in ulps, absolute, relative."""

    kind: Literal["exact", "ulp", "abs", "rel"] = "exact"
    limit: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Tolerance":
        """Return the tolerance that `exact`, `ulp:4`, `abs:1e-9` or `rel:1e-6` names.

        Raises:
            ToleranceUnusable: it is none of them; `abs:` without a number, or `exact` with one, neither.

        >>> Tolerance.parse("ulp:4").limit
        4.0
        """
        form = _FORM.fullmatch(text)
        if form is None:
            raise ToleranceUnusable(text)
        _, ulp, steps, kind, limit = form.groups()
        try:
            found = cls(ulp or kind or "exact", float(steps or limit or 0.0))  # type: ignore[arg-type]  # by the form
        except ValueError as error:
            raise ToleranceUnusable(text) from error
        if not 0.0 <= found.limit < np.inf:
            raise ToleranceUnusable(text)
        return found


class FieldConsistency(msgspec.Struct, frozen=True):
    """How one feature agrees. `missing`: served and not recomputed; `extra`: recomputed and not served.

    `special`: served with a status that is not plain (default, stale, missing, erased): there is nothing to
    agree with. `smape`: the mean of |a - b| / (|a| + |b|), 0 to 1, over the numbers that both have; None
    for what is no number.
    """

    feature: str
    rows: int
    special: int
    mismatch: int
    missing: int
    extra: int
    smape: float | None
    worst: tuple[dict[str, Any], ...]

    @property
    def agrees(self) -> bool:
        """Whether no compared cell differs."""
        return not (self.mismatch or self.missing or self.extra)


@dataclass(frozen=True, slots=True)
class _Cells:
    served: pa.Array
    again: pa.Array
    mismatch: Flags
    distance: Floats


def compare(
    served: pa.Table, again: pa.Table, special: Mapping[str, Flags], tolerances: Mapping[str, Tolerance]
) -> list[FieldConsistency]:
    """Return how each column of `again` agrees with the one of the same name in `served`, row by row.

    Both have one row a decision in one order; `served` has `decision_id`. NaN agrees with NaN, and a null
    with a null; a NaN is a value and no null. What has no tolerance must be exact.

    Raises:
        ToleranceUnneeded: a tolerance of a column that is no number would count for nothing.
    """
    assert served.num_rows == again.num_rows, "one row a decision"
    for name, tolerance in tolerances.items():
        if tolerance.kind != "exact" and not _is_number(kind := served.schema.field(name).type):
            raise ToleranceUnneeded(name, str(kind))
    ids = served.column("decision_id").combine_chunks()
    return [
        _field(name, ids, (served.column(name), again.column(name)), special.get(name), tolerances)
        for name in again.schema.names
    ]


def _field(
    name: str,
    ids: pa.Array,
    columns: tuple[pa.ChunkedArray, pa.ChunkedArray],
    special: Flags | None,
    tolerances: Mapping[str, Tolerance],
) -> FieldConsistency:
    left, right = (column.combine_chunks() for column in columns)
    plain = np.ones(len(left), dtype=np.bool_) if special is None else ~special
    has, found = np.asarray(left.is_valid()), np.asarray(right.is_valid())
    both = plain & has & found
    cells = _compared(left, right, both, tolerances.get(name, Tolerance()))
    bad = np.flatnonzero(cells.mismatch | (plain & (has != found)))
    order = bad[np.argsort(-cells.distance[bad], kind="stable")][:WORST]
    numbers = _is_number(left.type)
    finite = cells.distance[both & np.isfinite(cells.distance)]
    return FieldConsistency(
        feature=name,
        rows=int(np.count_nonzero(plain)),
        special=int(np.count_nonzero(~plain)),
        mismatch=int(np.count_nonzero(cells.mismatch)),
        missing=int(np.count_nonzero(plain & has & ~found)),
        extra=int(np.count_nonzero(plain & ~has & found)),
        smape=float(finite.mean()) if numbers and finite.size else None,
        worst=tuple(
            {"decision_id": ids[row].as_py(), "served": left[row].as_py(), "recomputed": right[row].as_py()}
            for row in order.tolist()
        ),
    )


def _compared(left: pa.Array, right: pa.Array, both: Flags, tolerance: Tolerance) -> _Cells:
    """Return where two values differ beyond the tolerance, and how far: 0 to 1, infinite for no number."""
    if _is_number(left.type):
        a, b = (_floats(column) for column in (left, right))
        with np.errstate(invalid="ignore", over="ignore"):
            far = np.abs(a - b)
            scale = np.abs(a) + np.abs(b)
            distance = np.divide(far, scale, out=np.zeros_like(far), where=scale > 0.0)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        distance = np.where(same, 0.0, np.where(np.isnan(distance), 1.0, distance))
        within = _within(a, b, far, tolerance)
        if pa.types.is_integer(left.type):  # doubles are too coarse
            same, within = _whole(left, right, tolerance)
        return _Cells(left, right, both & ~(same | within), np.where(both, distance, np.inf))
    if pa.types.is_list(left.type):
        pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
        alike = np.array([repr(x) == repr(y) for x, y in pairs], dtype=np.bool_)
    else:
        alike = np.asarray(pc.equal(left, right).fill_null(False), dtype=np.bool_)  # noqa: FBT003
    return _Cells(left, right, both & ~alike, np.where(both & alike, 0.0, np.inf))


def _within(a: Floats, b: Floats, far: Floats, tolerance: Tolerance) -> Flags:
    if tolerance.kind == "abs":
        return np.asarray(far <= tolerance.limit, dtype=np.bool_)
    if tolerance.kind == "rel":
        return np.asarray(
            np.isfinite(far) & (far <= tolerance.limit * np.maximum(np.abs(a), np.abs(b))), dtype=np.bool_
        )
    if tolerance.kind == "ulp":
        steps = np.abs(_ordered(a).astype(np.float64) - _ordered(b).astype(np.float64))
        exact = np.abs(_ordered(a) - _ordered(b))
        near = np.isfinite(a) & np.isfinite(b)
        return np.asarray(near & (steps < 2.0**62) & (exact <= tolerance.limit), dtype=np.bool_)
    return np.zeros(a.size, dtype=np.bool_)


def _whole(left: pa.Array, right: pa.Array, tolerance: Tolerance) -> tuple[Flags, Flags]:
    """Return where whole numbers are equal, and where they are within the tolerance, without rounding them.

    A whole number has nothing after its last place: in ulps it must be exact.
    """
    same = np.asarray(pc.equal(left, right).fill_null(False), dtype=np.bool_)  # noqa: FBT003
    if tolerance.kind in {"exact", "ulp"}:
        return same, same
    within, share = same.copy(), Fraction(str(tolerance.limit))  # as it was written: 0.3 is three tenths
    for row in np.flatnonzero(~same).tolist():
        one, other = left[row].as_py(), right[row].as_py()
        if one is not None and other is not None:
            scale = max(abs(one), abs(other)) if tolerance.kind == "rel" else 1
            within[row] = abs(one - other) <= share * scale
    return same, within


def _ordered(values: Floats) -> npt.NDArray[np.int64]:
    """Return whole numbers in the order of the doubles, one apart for neighbours; both zeros are 0."""
    bits = np.ascontiguousarray(values).view(np.int64)
    return np.where(bits < 0, _SIGN - bits, bits)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _floats(column: pa.Array) -> Floats:
    return np.asarray(column.cast(pa.float64(), safe=False).fill_null(0.0).to_numpy(), dtype=np.float64)
