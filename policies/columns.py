"""The paired columns of a comparison as arrays: read once, shared by every metric."""

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from policies.errors import ColumnsError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SCORES = ("champion_score", "challenger_score", "label")
REMEDY = "Hand over the table of paired columns."
DECISIONS = ("champion_decision", "challenger_decision")


class Side:
    """One model's answers: scores (NaN where there is none) and decisions."""

    def __init__(self, score: Any, decision: Any) -> None:
        self._score = score
        self._decision = decision

    @cached_property
    def score(self) -> Floats:
        """Return the scores, shape (rows,); NaN where the model gave none or gave NaN."""
        return _floats(self._score)

    @cached_property
    def score_missing(self) -> Mask:
        """Return where the model gave no score; a score of NaN is not missing."""
        return null_mask(self._score)

    @cached_property
    def decision_missing(self) -> Mask:
        """Return where the model gave no decision."""
        return null_mask(self._decision)

    def decided(self, decision: str) -> Mask:
        """Return where the model gave exactly this decision."""
        return known_true(pc.equal(self._decision, decision))


class Columns:
    """A paired table, checked: the columns that metrics and units read, as arrays of one length.

    Raises:
        ColumnsError: a column is absent or of another type.
    """

    def __init__(self, table: pa.Table) -> None:
        self.rows: int = table.num_rows
        self._table = table
        for name in SCORES:
            self._require(name, pa.types.is_floating, "float64")
        for name in DECISIONS:
            self._require(name, _is_text, "string")

    @cached_property
    def champion(self) -> Side:
        """Return the live model's answers."""
        return Side(self._column("champion_score"), self._column("champion_decision"))

    @cached_property
    def challenger(self) -> Side:
        """Return the candidate's answers."""
        return Side(self._column("challenger_score"), self._column("challenger_decision"))

    @cached_property
    def label(self) -> Floats:
        """Return the labels, shape (rows,); NaN where there is none."""
        return _floats(self._column("label"))

    @cached_property
    def decisions_differ(self) -> Mask:
        """Return where both models decided, and not the same."""
        unequal = pc.not_equal(self._column("champion_decision"), self._column("challenger_decision"))
        return known_true(unequal)

    @property
    def unit(self) -> Any:
        """Return the unit column: an Arrow string array, null where the service named no unit."""
        self._require("unit", _is_text, "string")
        return self._column("unit")

    @property
    def occurred_us(self) -> Ints:
        """Return when each decision occurred: microseconds since 1970 in UTC, shape (rows,)."""
        self._require("occurred_at", _is_instant, "timestamp in UTC")
        column = self._column("occurred_at").cast(pa.timestamp("us", "UTC"))
        if column.null_count:
            raise ColumnsError(
                "occurred_at", "null in some rows", "a time in every row", "Pair the rows again."
            )
        instants: Ints = _plain(column.cast(pa.int64()))
        return instants

    def numbers(self, name: str) -> Floats:
        """Return a column of numbers that a metric reads beside the others; NaN where it is null."""
        self._require(name, _is_number, "numbers")
        return _floats(self._column(name))

    def missing(self, name: str) -> Mask:
        """Return where a column is null."""
        return null_mask(self._column(name))

    def text(self, name: str) -> Any:
        """Return a column of text that a metric reads beside the others, as an Arrow array."""
        self._require(name, _is_text, "string")
        return self._column(name).cast(pa.string())

    def _column(self, name: str) -> Any:
        column = self._table.column(name)
        if column.num_chunks == 1:
            return column.chunk(0)
        return column.combine_chunks() if column.num_chunks else pa.array([], column.type)

    def _require(self, name: str, allowed: Any, expected: str) -> None:
        if name not in self._table.column_names:
            raise ColumnsError(
                name, "absent", f"a column of {expected}", "Hand over the table of paired columns."
            )
        found = self._table.schema.field(name).type
        if not (allowed(found) or pa.types.is_null(found)):
            raise ColumnsError(name, str(found), expected, REMEDY)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _is_instant(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.tz is not None)


def null_mask(array: Any) -> Mask:
    """Return where an Arrow array is null, shape (rows,)."""
    return _mask(array.is_null()) if array.null_count else np.zeros(len(array), dtype=np.bool_)


def _floats(array: Any) -> Floats:
    floats = array.cast(pa.float64(), safe=False)  # an integer beyond 2**53 is as near as a double can say
    values: Floats = _plain(pc.fill_null(floats, float("nan")) if floats.null_count else floats)
    return values


def _plain(array: Any) -> Any:
    """Return numbers without nulls as numpy; `to_numpy` imports all of pandas when it is first called."""
    return np.from_dlpack(array)


def known_true(array: Any) -> Mask:
    """Return where it is true; where it is null it is not known to be."""
    return _mask(pc.fill_null(array, fill_value=False) if array.null_count else array)


def _mask(array: Any) -> Mask:
    """Return a boolean array without nulls; its bits are unpacked at a tenth of the cost of `to_numpy`."""
    assert not array.null_count
    data, stop = array.buffers()[1], array.offset + len(array)
    if data is None:
        return np.zeros(0, dtype=np.bool_)
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=stop, bitorder="little")
    return bits[array.offset :].view(np.bool_)
