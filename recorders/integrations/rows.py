"""Rows: a model's input and answer, row by row, without importing the library that made them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from recorders.errors import InvalidEvent
from recorders.fields import FeatureSet

SLICE_ROWS: Final = 1_024  # rows that are Python objects at one time
_ABSENT: Final = ("NAType", "NaTType")


class Output(msgspec.Struct, frozen=True):
    """What to take from a model's answer; the same words as in the URI of a model.

    Numbers are scores, texts are decisions. `column` chooses from several numbers a row; None means the
    second of two. With `threshold`, a score at or above it is the first of `decisions`, one below it the
    second.
    """

    column: int | None = None
    threshold: float | None = None
    decisions: tuple[str, str] = ("true", "false")

    def read(self, value: Any) -> dict[str, Any]:
        """Return the score and the decision of one row's answer, as keywords of `Recorder.record`.

        Raises:
            InvalidEvent: several numbers, and none of them chosen.

        >>> Output(threshold=0.5).read([0.75, 0.25])
        {'score': 0.25, 'decision': 'false'}
        """
        if isinstance(value, str):
            return {"decision": str(value)}
        if isinstance(value, list | tuple):
            value = value[self._column(len(value))]
        score = float(value) if isinstance(value, bool | int) else value
        if self.threshold is None:
            return {"score": score}
        return {"score": score, "decision": self.decisions[0 if score >= self.threshold else 1]}

    def _column(self, width: int) -> int:
        column = self.column if self.column is not None else {1: 0, 2: 1}.get(width)
        if column is None or not 0 <= column < width:
            happened = f"The model answered {width} numbers a row, and column is {self.column}."
            raise InvalidEvent(
                "type", happened, "Expected the one that is the score.", "Pass column=, counted from 0."
            )
        return column


def snapshots(data: Any, feature_set: FeatureSet, order: Sequence[str]) -> Iterator[dict[str, object]]:
    """Yield the snapshot of each row: the declared fields that it has, and nothing else.

    `data` is a DataFrame, a numpy or sparse matrix, a mapping of columns, or a list of rows (mappings or
    sequences); rows without names have the fields of `order`. What is no value there (NaN, NaT, NA) is
    None in a field that is not a number.

    Raises:
        InvalidEvent: rows without names of another width than `order`.
    """
    kinds = {field.name: field.type for field in feature_set.fields}
    for row in _rows(data, tuple(kinds), tuple(order)):
        yield {name: _value(kinds[name], row[name]) for name in kinds if name in row}


def answers(result: Any) -> list[Any]:
    """Return a model's answer as one value, list of values, or mapping of score and decision a row."""
    if hasattr(result, "to_dict") and hasattr(result, "columns"):
        names = [name for name in ("score", "decision") if name in result.columns]
        return list(result[names].to_dict("records")) if names else list(result.to_numpy().tolist())
    listed = result.tolist() if hasattr(result, "tolist") else result
    return list(listed)


def _rows(data: Any, names: tuple[str, ...], order: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    if isinstance(data, Mapping):
        yield from _across({name: data[name] for name in names if name in data})
        return
    count = data.shape[0] if hasattr(data, "shape") else len(data)
    frame = hasattr(data, "iloc")
    for at in range(0, count, SLICE_ROWS):
        part = data
        if count > SLICE_ROWS:
            part = (data.iloc if frame else data)[at : at + SLICE_ROWS]
        if frame:  # column by column: of one row, pandas' own to_dict("records") costs four times as much
            yield from _across({name: part[name] for name in names if name in part.columns})
            continue
        part = part.toarray() if hasattr(part, "toarray") else part
        for row in _listed(part):
            yield row if isinstance(row, Mapping) else _named(row, order)


def _across(columns: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    listed = [_listed(column) for column in columns.values()]
    for values in zip(*listed, strict=True):
        yield dict(zip(columns, values, strict=True))


def _listed(values: Any) -> Any:
    return values.tolist() if hasattr(values, "tolist") else values


def _named(row: Any, order: tuple[str, ...]) -> dict[str, Any]:
    values = _listed(row)
    cells = values if isinstance(values, list | tuple) else (values,)
    if len(cells) != len(order):
        raise InvalidEvent(
            "type",
            f"A row without names has {len(cells)} values.",
            f"Expected {len(order)}: {', '.join(order[:10])}.",
            "Pass a DataFrame, or rows in the order of the feature set's features.",
        )
    return dict(zip(order, cells, strict=True))


def _value(kind: str, value: Any) -> Any:
    if type(value).__name__ in _ABSENT:
        return None
    if kind != "float64" and isinstance(value, float) and value != value:  # noqa: PLR0124  # NaN
        return None
    return value
