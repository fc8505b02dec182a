"""Figures of the demo that no look has: live decisions by month, and what flights alone would say."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pandas as pd
import pyarrow as pa

from harness.demo.flights import HOME
from harness.log.log import Log
from harness.replays import read_scores

_ZONE = ZoneInfo(HOME)


class Month(msgspec.Struct, frozen=True):
    """What the live decisions of one local month were worth: the mean score, and how it came out."""

    month: str
    model: str
    decisions: int
    brier: float
    predicted: float
    late: float

    @property
    def skill(self) -> float:
        """How much smaller the Brier score is than that of always saying the month's share of late flights.

        1 - Brier / (p (1 - p)): unlike the Brier score it does not improve when fewer flights are late. It
        is 0 for saying the share, negative for worse, and NaN where all flights were alike.

        >>> Month("2013-07", "m:1", 4, 0.15, 0.5, 0.5).skill
        0.4
        >>> Month("2013-08", "m:1", 4, 0.15, 0.5, 1.0).skill
        nan
        """
        base = self.late * (1 - self.late)
        return 1 - self.brier / base if base > 0 else math.nan


def live_decisions(log: Log, decision_point: str) -> pd.DataFrame:
    """Return all live decisions as recorded: id, instant, local day, model and score."""
    names = ["decision_id", "occurred_at", "model", "model_version", "score"]
    head = log.head().position
    batches = log.read(1, head + 1, kind="decision", decision_point=decision_point, columns=names)
    table = pa.Table.from_batches(batch.select(["position", *names]) for batch in batches)
    frame: pd.DataFrame = table.to_pandas()
    frame["local"] = frame["occurred_at"].dt.tz_convert(HOME)
    frame["day"] = frame["local"].dt.date
    frame["model"] = frame["model"] + ":" + frame["model_version"]
    return frame


def labelled(decisions: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Return the decisions whose flight arrived, with its `late` (1.0 or 0.0)."""
    late = requests.set_index("decision_id")["late"]
    return decisions.assign(late=decisions["decision_id"].map(late)).dropna(subset=["late", "score"])


def between(decisions: pd.DataFrame, start: datetime, stop: datetime) -> pd.DataFrame:
    """Return the decisions that occurred in [start, stop)."""
    return decisions[(decisions["occurred_at"] >= start) & (decisions["occurred_at"] < stop)]


def months(decisions: pd.DataFrame) -> tuple[Month, ...]:
    """Return one row for each month and model, in order, of labelled decisions."""
    loss = (decisions["score"] - decisions["late"]) ** 2
    grouped = decisions.assign(month=decisions["local"].dt.strftime("%Y-%m"), loss=loss).groupby(
        ["month", "model"], sort=True
    )
    found = grouped.agg(
        decisions=("loss", "size"), brier=("loss", "mean"), predicted=("score", "mean"), late=("late", "mean")
    )
    return tuple(Month(*row) for row in found.reset_index().itertuples(index=False, name=None))


def paired_losses(log: Log, decisions: pd.DataFrame, model_digest: str, decision_point: str) -> pd.Series:
    """Return, for each labelled decision that the challenger scored, how much better it was, by local day."""
    first, last = int(decisions["position"].min()), int(decisions["position"].max())
    scores = read_scores(log, model_digest, decision_point, first, last + 1).to_pandas()
    both = decisions.merge(scores[["decision_id", "score"]], on="decision_id", suffixes=("", "_challenger"))
    both = both.dropna(subset=["score_challenger"])
    live = (both["score"] - both["late"]) ** 2
    other = (both["score_challenger"] - both["late"]) ** 2
    return (live - other).set_axis(both["day"])


def naive_z(losses: pd.Series, looks: Sequence[datetime], *, window: timedelta) -> tuple[float, ...]:
    """Return, at each look, the paired z over flights: what a test says that takes them for independent.

    Over the days that the look counted: those that ended at least `window` before it. NaN without variation.
    """
    found = []
    for look in looks:
        closed = (look - window).astimezone(_ZONE).date()
        seen = losses[losses.index < closed]
        spread = float(seen.std())
        found.append(float(seen.mean()) / (spread / math.sqrt(len(seen))) if spread > 0 else math.nan)
    return tuple(found)


def naive_states(z: Sequence[float], *, limit: float = 1.96) -> tuple[str, ...]:
    """Return what a harness does that reads z at each look and believes it.

    >>> naive_states([-3.4, 1.0, 6.6])
    ('REJECT', 'HOLD', 'PROMOTE')
    """
    return tuple("PROMOTE" if each > limit else "REJECT" if each < -limit else "HOLD" for each in z)
