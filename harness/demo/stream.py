"""The service of the demo: requests and arrivals in the order in which they happened, through a recorder."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from harness.demo.errors import RecordingIncomplete
from harness.demo.flights import FEATURES, microseconds
from recorders.recorder import Recorder
from replay.columns import FEATURE
from replay.model import Model

LABEL = "late"
FLUSH_S = 60.0
_SECOND_US = 1_000_000

Integers = npt.NDArray[np.int64]


class Served(msgspec.Struct, frozen=True):
    """What the service did in a stretch of time."""

    decisions: int = 0
    outcomes: int = 0

    def __add__(self, other: "Served") -> "Served":
        return Served(self.decisions + other.decisions, self.outcomes + other.outcomes)


class Service:
    """Decides on each flight at its scheduled departure and records that, and each arrival when it happens.

    `requests` are those of `build_requests`; the outcome of a flight that was never decided on is left out,
    so the first request that counts is the first that is served.
    """

    def __init__(self, requests: pd.DataFrame, recorder: Recorder, *, since: datetime) -> None:
        self._recorder = recorder
        self._requests = requests
        self._scheduled = microseconds(requests["scheduled"])
        known = np.flatnonzero((requests["late"].notna() & (requests["scheduled"] >= since)).to_numpy())
        arrived = microseconds(requests["arrived"])[known]
        order = np.argsort(arrived, kind="stable")
        self._arrived, self._arrivals = arrived[order], known[order]
        self._late = requests["late"].to_numpy(dtype=np.float64)
        self._ids: list[str] = requests["decision_id"].tolist()

    def decide(self, model: Model, start: datetime, stop: datetime) -> "Answers":
        """Return the model's answers to the requests of [start, stop).

        It is asked once and not once a flight, for speed alone: its rows do not influence one another, which
        the noise floor checks to the last bit.
        """
        first, last = (int(at) for at in np.searchsorted(self._scheduled, [_us(start), _us(stop)]))
        return _answers(model, self._requests.iloc[first:last], first)

    def serve(self, answers: "Answers", start: datetime, stop: datetime) -> Served:
        """Record what happened in [start, stop), in that order; return when all of it has reached the log.

        Raises:
            RecordingIncomplete: it has not within a minute.
        """
        served = self._record(answers, _us(start), _us(stop))
        if not self._recorder.flush(FLUSH_S):
            counters = self._recorder.counters
            raise RecordingIncomplete(counters.accepted, counters.acked)
        return served

    def _record(self, answers: "Answers", start_us: int, stop_us: int) -> Served:
        due = np.arange(*np.searchsorted(self._scheduled, [start_us, stop_us]))
        here = slice(*np.searchsorted(self._arrived, [start_us, stop_us]))
        times = np.concatenate([self._scheduled[due], self._arrived[here]])
        rows = np.concatenate([due, self._arrivals[here]])
        # A stable sort keeps requests before arrivals of the same minute.
        order = np.argsort(times, kind="stable")
        record, outcome = self._recorder.record, self._recorder.outcome
        for at, row, requested in zip(
            times[order].tolist(), rows[order].tolist(), (order < due.size).tolist(), strict=True
        ):
            when = datetime.fromtimestamp(at // _SECOND_US, UTC)
            if requested:
                answer = row - answers.first
                record(
                    dict(zip(FEATURES, answers.features[answer], strict=True)),
                    score=answers.scores[answer],
                    decision=answers.decisions[answer],
                    decision_id=self._ids[row],
                    occurred_at=when,
                    statuses=answers.gaps[answer],
                )
            else:
                outcome(self._ids[row], LABEL, bool(self._late[row]), occurred_at=when)
        return Served(int(due.size), int(rows.size - due.size))


class Answers(msgspec.Struct, frozen=True):
    """A model's answers to consecutive requests, with the features that it saw; `first` is the first row."""

    first: int
    features: list[tuple[object, ...]]
    gaps: list[dict[str, str] | None]
    scores: list[float]
    decisions: list[str]


def _answers(model: Model, requests: pd.DataFrame, first: int) -> Answers:
    columns = [pa.array(requests[name], from_pandas=True) for name in FEATURES]
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(np.arange(len(requests), dtype=np.int64)),
            pa.array(requests["decision_id"], pa.string()),
            *columns,
        ],
        names=["decision_position", "decision_id", *(FEATURE + name for name in FEATURES)],
    )
    scored = model.score(batch)
    return Answers(
        first,
        list(zip(*(column.to_pylist() for column in columns), strict=True)),
        _gaps(requests),
        scored.column("score").to_pylist(),
        scored.column("decision").to_pylist(),
    )


def _gaps(requests: pd.DataFrame) -> list[dict[str, str] | None]:
    """Return for each row its fields without a value, as the statuses that are recorded with it."""
    known: dict[bytes, dict[str, str] | None] = {}
    found = []
    for row in requests[list(FEATURES)].isna().to_numpy():
        key = row.tobytes()
        if key not in known:
            known[key] = {name: "missing" for name, gap in zip(FEATURES, row, strict=True) if gap} or None
        found.append(known[key])
    return found


def _us(instant: datetime) -> int:
    return int(instant.timestamp()) * _SECOND_US
