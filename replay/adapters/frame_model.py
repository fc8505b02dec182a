"""A model that is called with a DataFrame: its guard, its canonical calls and what its answers mean."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recorders.columns import SCORE_SCHEMA
from replay.adapters.guard import guard
from replay.columns import FEATURE
from replay.errors import ModelInputsError
from replay.frames import to_frame
from replay.model import ModelInfo
from replay.score import BLOCK_ROWS

MISSING = "missing input: "

Scores = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]


class Output(msgspec.Struct, frozen=True):
    """What to take from a model's answer.

    `column` chooses from an answer of shape (rows, k); None means the second of two.
    With `threshold`, a score at or above it is the first of `decisions`, one below it the second.
    """

    column: int | None = None
    threshold: float | None = None
    decisions: tuple[str, str] = ("true", "false")

    @classmethod
    def of(cls, options: dict[str, str], column: int | None = None) -> "Output":
        """Return what the options of a URI say."""
        first, second = options.get("decisions", "true,false").split(",")
        threshold = options.get("threshold")
        return cls(column, None if threshold is None else float(threshold), (first, second))


class FrameModel:
    """A Model on top of any `call(DataFrame) -> scores`; a failure is a row, never a lost batch.

    Every call gets BLOCK_ROWS rows, a shorter one is filled up with its last row: the number of rows
    decides the last bits of a BLAS product. When a call raises, its rows are halved until those that it
    cannot score are alone, so their neighbours keep the scores that they would have had.
    """

    def __init__(
        self, info: ModelInfo, call: Callable[[pd.DataFrame], Any], *, output: Output, nulls: str
    ) -> None:
        self.info = info
        self._call = call
        self._output = output
        self._nulls = nulls

    def score(self, columns: pa.RecordBatch) -> pa.RecordBatch:
        """Return one score row for each row; see `replay.model.Model`."""
        features = self._features(columns)
        errors = self._missing(features)
        good = np.flatnonzero(_absent(errors))
        scores, decisions = np.full(columns.num_rows, np.nan), np.full(columns.num_rows, None, dtype=object)
        for at in range(0, good.size, BLOCK_ROWS):
            self._fill(features, good[at : at + BLOCK_ROWS], scores, decisions, errors)
        failed = ~_absent(errors)
        decisions[failed] = None
        return pa.RecordBatch.from_arrays(
            [
                columns.column("decision_position"),
                columns.column("decision_id"),
                pa.array(scores, pa.float64(), mask=failed | np.isnan(scores)),
                pa.array(decisions, pa.string()),
                pa.array(errors, pa.string()),
            ],
            schema=SCORE_SCHEMA,
        )

    def _features(self, columns: pa.RecordBatch) -> pa.RecordBatch:
        wanted = [FEATURE + name for name in self.info.inputs]
        names = set(columns.schema.names)
        lacking = [name.removeprefix(FEATURE) for name in wanted if name not in names]
        if lacking:
            raise ModelInputsError(lacking, [n.removeprefix(FEATURE) for n in names if n.startswith(FEATURE)])
        features = columns.select(wanted).rename_columns(list(self.info.inputs))
        untyped = [i for i, field in enumerate(features.schema) if pa.types.is_null(field.type)]
        for i in untyped:  # no row of the block has it: floats hold it when nulls may pass
            features = features.set_column(i, self.info.inputs[i], features.column(i).cast(pa.float64()))
        return features

    def _missing(self, features: pa.RecordBatch) -> Texts:
        """Return the error of each row that lacks an input, None for the others."""
        errors = np.full(features.num_rows, None, dtype=object)
        if self._nulls == "pass":
            return errors
        for name, column in zip(reversed(features.schema.names), reversed(features.columns), strict=True):
            if column.null_count:
                errors[np.asarray(pc.is_null(column))] = MISSING + name
        return errors

    def _fill(
        self,
        features: pa.RecordBatch,
        rows: npt.NDArray[np.int64],
        scores: Scores,
        decisions: Texts,
        errors: Texts,
    ) -> None:
        """Write the results of `rows` (at most BLOCK_ROWS) into the three columns."""
        open_parts = [rows]
        while open_parts:
            part = open_parts.pop()
            result, reason = guard(self._canonical, features, part)
            if result is not None:
                scores[part], decisions[part], errors[part] = result
            elif part.size == 1:
                errors[part] = reason
            else:
                open_parts += [part[part.size // 2 :], part[: part.size // 2]]

    def _canonical(
        self, features: pa.RecordBatch, rows: npt.NDArray[np.int64]
    ) -> tuple[Scores, Texts, Texts]:
        if rows.size == features.num_rows == BLOCK_ROWS:
            block = features
        else:
            padded = np.concatenate([rows, np.repeat(rows[-1:], BLOCK_ROWS - rows.size)])
            block = features.take(pa.array(padded))
        answer = self._call(to_frame(block, widen=self._nulls == "pass"))
        scores, decisions = read_answer(answer, self._output)
        scores, decisions = scores[: rows.size], decisions[: rows.size]
        bad = np.isinf(scores) | (np.isnan(scores) & _absent(decisions))
        errors = np.full(rows.size, None, dtype=object)
        errors[bad] = [f"score is {value}" for value in scores[bad]]
        return scores, self._decided(scores, decisions, bad), errors

    def _decided(self, scores: Scores, decisions: Texts, bad: npt.NDArray[np.bool_]) -> Texts:
        threshold = self._output.threshold
        if threshold is None:
            return decisions
        yes, no = self._output.decisions
        chosen = np.where(scores >= threshold, yes, no).astype(object)
        return np.where(bad | ~_absent(decisions), decisions, chosen)


def read_answer(answer: Any, output: Output) -> tuple[Scores, Texts]:
    """Return scores (NaN where there is none) and decisions (None where there is none) of BLOCK_ROWS rows.

    Numbers are scores, texts are decisions; a DataFrame may hold the columns `score` and `decision`.

    Raises:
        ValueError: an answer of another length, shape or type. In a guarded call it becomes a row's error.
    """
    nothing = np.full(BLOCK_ROWS, None, dtype=object)
    if isinstance(answer, pd.DataFrame) and {"score", "decision"} & set(answer.columns):
        texts = _texts(answer["decision"]) if "decision" in answer else nothing
        scores = _column(answer["score"], output) if "score" in answer else np.full(BLOCK_ROWS, np.nan)
        return _checked(scores), _checked(texts)
    values = np.asarray(answer)
    if values.dtype.kind in "UST" or (
        values.dtype == object and any(isinstance(v, str) for v in values.flat)
    ):
        return np.full(BLOCK_ROWS, np.nan), _checked(_texts(values))
    return _checked(_column(values, output)), nothing


def _column(answer: Any, output: Output) -> Scores:
    values = np.asarray(answer, dtype=np.float64)
    if values.ndim == 2:  # noqa: PLR2004  rows and classes
        width = values.shape[1]
        column = output.column if output.column is not None else (1 if width == 2 else None)  # noqa: PLR2004
        column = 0 if width == 1 else column
        if column is None or column >= width:
            raise ValueError(f"{width} columns of scores: choose one with ?class=")
        values = values[:, column]
    return values


def _texts(answer: Any) -> Texts:
    values = np.asarray(answer, dtype=object)
    return np.array([None if pd.isna(value) else str(value) for value in values.ravel()], dtype=object)


def _absent(values: Texts) -> npt.NDArray[np.bool_]:
    return np.asarray(pd.isna(values), dtype=np.bool_)


def _checked(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if values.shape != (BLOCK_ROWS,):
        raise ValueError(f"answer of shape {values.shape} for {BLOCK_ROWS} rows")
    return values
