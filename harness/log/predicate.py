"""Conditions on columns: `("score", ">", 0.9)`. All of them must hold; null and absent columns never do."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import UsageError

PLACES: Final = ("position", "recorded_at")
Where = Sequence[tuple[str, str, Any]]
_COMPARED: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_LISTED: Final = ("in", "not in")


class Term(msgspec.Struct, frozen=True):
    """One condition. `value` is a list for `in` and `not in`."""

    column: str
    comparison: str
    value: Any

    def excludes(self, low: Any, high: Any) -> bool:
        """Return whether no value from `low` to `high` can meet this; False when that is not known."""
        values = self.value if self.comparison == "in" else [self.value]
        try:
            return all(_outside(self.comparison, value, low, high) for value in values)
        except TypeError:  # values of another type: the comparison of columns says so
            return False


def _outside(comparison: str, value: Any, low: Any, high: Any) -> bool:
    outside = {
        "==": value < low or value > high,
        "in": value < low or value > high,
        "<": low >= value,
        "<=": low > value,
        ">": high <= value,
        ">=": high < value,
    }
    return bool(outside.get(comparison, False))


class Bounds(msgspec.Struct, frozen=True):
    """What is known of a column of a row group: its type, least and largest value, whether one is null."""

    type: pa.DataType
    low: Any
    high: Any
    nulls: bool


class Skips(Protocol):
    """Somebody who filters what is read, and knows which row groups hold nothing of it."""

    def skips(self, bounds: Callable[[str], Bounds | None]) -> bool:
        """Return whether a row group need not be read. `bounds` of a column is None when none are known."""


class Wanted(msgspec.Struct, frozen=True):
    """What a reader asks for: a kind, perhaps of one decision point, of some columns and rows alone.

    `skips` saves reading of sealed events; what it does not save is still to be filtered. `recent` says that
    they are probably in the database still, sealed or not. `begins` says that no batch of the log reaches
    into the range from before it: then nobody asks for one.
    """

    kind: str
    decision_point: str | None = None
    columns: tuple[str, ...] | None = None
    conditions: tuple[Term, ...] = ()
    skips: Skips | None = None
    recent: bool = False
    begins: bool = False

    def holds(self, kind: str, decision_point: str) -> bool:
        """Return whether events of that kind and decision point are wanted."""
        return kind == self.kind and self.decision_point in {None, decision_point}

    def excludes(self, bounds: Callable[[str], Bounds | None]) -> bool:
        """Return whether no row of a row group is wanted."""
        for term in self.conditions:
            found = bounds(term.column)
            if found is not None and term.excludes(found.low, found.high):
                return True
        return self.skips is not None and self.skips.skips(bounds)

    def names(self, schema: pa.Schema) -> list[str]:
        """Return the wanted columns of `schema`: the places first, then the named ones that there are."""
        if self.columns is None:
            return list(schema.names)
        there = frozenset(schema.names)  # a schema makes its list of names anew each time it is asked
        named = (name for name in self.columns if name in there)
        return list(dict.fromkeys((*PLACES, *named)))


def terms(where: Where | None) -> tuple[Term, ...]:
    """Return the conditions, checked.

    Raises:
        UsageError: one is not (column, comparison, value).
    """
    found = []
    for given in where or ():
        fits = isinstance(given, Sequence) and len(given) == 3  # noqa: PLR2004
        if not fits or given[1] not in (*_COMPARED, *_LISTED):
            raise UsageError(
                f"{given!r} is no condition.",
                f"Expected (column, comparison, value) with one of {', '.join((*_COMPARED, *_LISTED))}.",
                'Write ("f.amount", ">", 100) or ("f.country", "in", ["DE", "FR"]).',
            )
        column, comparison, value = given
        found.append(Term(column, comparison, list(value) if comparison in _LISTED else value))
    return tuple(found)


def matching(batch: pa.RecordBatch, conditions: Sequence[Term]) -> pa.RecordBatch:
    """Return the rows of `batch` that meet all conditions.

    Raises:
        UsageError: a value is of no type that the column can be compared with.

    >>> scores = pa.record_batch({"score": [0.1, None, 0.9]})
    >>> matching(scores, terms([("score", "!=", 0.1)])).column("score").to_pylist()
    [0.9]
    """
    for term in conditions:
        if term.column not in batch.schema.names:
            return batch.slice(0, 0)
        mask = _mask(batch.column(term.column), term)
        if mask.true_count < batch.num_rows:  # else nothing is copied
            batch = batch.filter(mask)
    return batch


def _mask(column: pa.Array, term: Term) -> pa.Array:
    try:
        if term.comparison in _LISTED:
            found = pc.is_in(column, value_set=pa.array(term.value, type=column.type))
            wanted = found if term.comparison == "in" else pc.invert(found)
            return pc.and_(wanted, column.is_valid())
        return _COMPARED[term.comparison](column, pa.scalar(term.value))
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise UsageError(
            f"Column {term.column} cannot be compared with {term.value!r}: {reason}.",
            f"Expected a value of type {column.type}.",
            "Correct the condition.",
        ) from error
