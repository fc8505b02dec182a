"""The same paired comparison as others do it: one bare call, a loop over pandas chunks, all rows at once.

Each reads decisions and outcomes from Parquet, scores, and answers the mean paired difference of Brier
scores.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

Score = Callable[[pd.DataFrame], Any]
CHUNK = 10_000
DECISIONS, OUTCOMES = "decisions.parquet", "outcomes.parquet"


def bare(folder: Path, names: list[str], score: Score, rows: int) -> int:
    """Read the features and score them, `rows` a call; nothing is compared."""
    frame = features(folder, names)
    return sum(len(score(frame.iloc[at : at + rows])) for at in range(0, len(frame), rows))


def features(folder: Path, names: list[str]) -> pd.DataFrame:
    """Return the features of all decisions."""
    frame = pq.read_table(folder / DECISIONS, columns=[f"f.{name}" for name in names]).to_pandas()
    frame.columns = names
    return frame


def in_chunks(folder: Path, names: list[str], score: Score) -> float:
    """Return the mean paired difference from a loop over chunks, as one writes it by hand."""
    file = pq.ParquetFile(folder / DECISIONS)
    labels = pd.read_parquet(folder / OUTCOMES, columns=["decision_id", "value"])
    total, squares, count = 0.0, 0.0, 0
    wanted = ["decision_id", "score", *(f"f.{name}" for name in names)]
    for batch in file.iter_batches(CHUNK, columns=wanted):
        frame = batch.to_pandas().merge(labels, on="decision_id")
        own = frame[[f"f.{name}" for name in names]].set_axis(names, axis=1)
        difference = (frame.score - frame.value) ** 2 - (score(own) - frame.value) ** 2
        total, squares, count = total + difference.sum(), squares + (difference**2).sum(), count + len(frame)
    assert squares > 0, "a difference that has an error"
    return float(total / count)


def at_once(folder: Path, names: list[str], score: Score) -> float:
    """Return the same from all rows at once and pandas, as with what `mlflow.pyfunc` loads."""
    frame = pq.read_table(folder / DECISIONS).to_pandas()
    labels = pd.read_parquet(folder / OUTCOMES, columns=["decision_id", "value"])
    frame = frame.merge(labels, on="decision_id")
    found = score(frame[[f"f.{name}" for name in names]].set_axis(names, axis=1))
    difference = (frame.score - frame.value) ** 2 - (found - frame.value) ** 2
    return float(difference.mean())
