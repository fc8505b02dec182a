"""What a model answered: scores and decisions out of whatever shape its library returns."""

import sys
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from recorders.events import IDENTIFIER_MAX
from replay.adapters.reasons import BAD_ANSWER

Scores = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]
Answer = tuple[Scores, Texts]


class Output(msgspec.Struct, frozen=True):
    """What to take from a model's answer.

    `column` chooses from an answer of shape (rows, k); None means the second of two `classes`.
    With `threshold`, a score at or above it is the first of `decisions`, one below it the second.
    """

    column: int | None = None
    threshold: float | None = None
    decisions: tuple[str, str] = ("true", "false")
    classes: bool = True

    @classmethod
    def of(cls, options: dict[str, str], column: int | None = None, *, classes: bool = True) -> "Output":
        """Return what the options of a URI say."""
        first, second = options.get("decisions", "true,false").split(",")
        threshold = options.get("threshold")
        return cls(column, None if threshold is None else float(threshold), (first, second), classes)


def read_answer(answer: Any, output: Output, rows: int) -> Answer:
    """Return scores (NaN where there is none) and decisions (None where there is none) of `rows` rows.

    Numbers are scores, texts are decisions; a DataFrame may hold the columns `score` and `decision`.

    Raises:
        ValueError: an answer of another length, order, shape or type. In a guarded call it becomes a
            row's error.
    """
    nothing = np.full(rows, None, dtype=object)
    pd: Any = sys.modules.get("pandas")  # where nobody has loaded it, no answer is one of its frames
    if pd and isinstance(answer, pd.DataFrame | pd.Series):
        _check_order(answer, rows)
    if pd and isinstance(answer, pd.DataFrame) and {"score", "decision"} & set(answer.columns):
        texts = _texts(answer["decision"]) if "decision" in answer else nothing
        scores = _column(answer["score"], output) if "score" in answer else np.full(rows, np.nan)
        return _checked(scores, rows), _checked(texts, rows)
    values = np.asarray(answer)
    if values.dtype.kind in "UST" or (
        values.dtype == object and any(isinstance(v, str) for v in values.flat)
    ):
        return np.full(rows, np.nan), _checked(_texts(values), rows)
    return _checked(_column(values, output), rows), nothing


def _check_order(answer: Any, rows: int) -> None:
    """Refuse rows in another order than the index that they came with: a sort would mix up the scores."""
    import pandas as pd

    if len(answer) == rows and not answer.index.equals(pd.RangeIndex(rows)):
        raise ValueError("answer in another order than its rows")


def _column(answer: Any, output: Output) -> Scores:
    if np.iscomplexobj(answer):  # what is imaginary would be thrown away, with a warning that nobody reads
        raise ValueError("answer of complex numbers")
    values = np.asarray(answer, dtype=np.float64)
    if values.ndim == 2:  # noqa: PLR2004  rows and classes
        width = values.shape[1]
        second = 1 if output.classes and width == 2 else None  # noqa: PLR2004
        column = 0 if width == 1 else second if output.column is None else output.column
        if column is None or column >= width:
            raise ValueError(f"{width} columns of scores: choose one with ?class=")
        values = values[:, column]
    return values


def _texts(answer: Any) -> Texts:
    import pandas as pd

    values = np.asarray(answer, dtype=object)
    return np.array([None if pd.isna(value) else str(value) for value in values.ravel()], dtype=object)


def absent(values: Texts) -> npt.NDArray[np.bool_]:
    """Return where there is no text."""
    import pandas as pd  # a second that who only reads scores need not wait

    return np.asarray(pd.isna(values), dtype=np.bool_)


def unusable(decisions: Texts) -> dict[int, str]:
    """Return by row why a decision is none that the log keeps: one made live is no longer either.

    >>> unusable(np.array(["yes", None, "y" * 300], dtype=object))
    {2: 'bad answer: a decision of 300 characters'}
    """
    found = {}
    for at, text in enumerate(decisions.tolist()):
        if text is None or (len(text) <= IDENTIFIER_MAX and text.isascii()):
            continue
        if len(text) > IDENTIFIER_MAX:
            found[at] = f"{BAD_ANSWER}a decision of {len(text)} characters"
        elif any("\ud800" <= one <= "\udfff" for one in text):
            found[at] = f"{BAD_ANSWER}a decision with half a surrogate pair"
    return found


def _checked(values: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
    if values.shape != (rows,):
        raise ValueError(f"answer of shape {values.shape} for {rows} rows")
    return values
