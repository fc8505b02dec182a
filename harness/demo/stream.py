"""The service of the demo: requests and arrivals in the order in which they happened, through a recorder."""

from collections.abc import Iterator, Sequence
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
_NONE: dict[str, str] = {}

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

    def serve(self, model: Model, start: datetime, stops: Sequence[datetime]) -> Iterator[Served]:
        """Yield what was done up to each of the ascending `stops`, after all of it has reached the log.

        The model is asked once for the whole stretch and not once a flight, for speed alone: its rows do not
        influence one another, which the noise floor checks to the last bit.
        """
        first, last = np.searchsorted(self._scheduled, [_us(start), _us(stops[-1])])
        answers = _answers(model, self._requests.iloc[first:last])
        begin = start
        for stop in stops:
            served = self._stretch(answers, int(first), _us(begin), _us(stop))
            if not self._recorder.flush(FLUSH_S):
                counters = self._recorder.counters
                raise RecordingIncomplete(counters.accepted, counters.acked)
            yield served
            begin = stop

    def _stretch(self, answers: "_Answers", base: int, start_us: int, stop_us: int) -> Served:
        due = np.arange(*np.searchsorted(self._scheduled, [start_us, stop_us]))
        here = self._arrivals[slice(*np.searchsorted(self._arrived, [start_us, stop_us]))]
        times = np.concatenate([self._scheduled[due], self._arrival_us(start_us, stop_us)])
        rows = np.concatenate([due, here])
        # A stable sort keeps requests before arrivals of the same minute.
        order = np.argsort(times, kind="stable")
        record, outcome = self._recorder.record, self._recorder.outcome
        for at, row, requested in zip(
            times[order].tolist(), rows[order].tolist(), (order < due.size).tolist(), strict=True
        ):
            when = datetime.fromtimestamp(at // _SECOND_US, UTC)
            if requested:
                answer = row - base
                record(
                    dict(zip(FEATURES, answers.features[answer], strict=True)),
                    score=answers.scores[answer],
                    decision=answers.decisions[answer],
                    decision_id=self._ids[row],
                    occurred_at=when,
                    statuses=answers.gaps[answer],
                    model=answers.model,
                    model_version=answers.version,
                )
            else:
                outcome(self._ids[row], LABEL, bool(self._late[row]), occurred_at=when)
        return Served(int(due.size), int(here.size))

    def _arrival_us(self, start_us: int, stop_us: int) -> Integers:
        return self._arrived[slice(*np.searchsorted(self._arrived, [start_us, stop_us]))]


class _Answers(msgspec.Struct, frozen=True):
    """A model's answers to some requests, row by row, with the features that it saw and their gaps."""

    model: str
    version: str
    features: list[tuple[object, ...]]
    gaps: list[dict[str, str]]
    scores: list[float]
    decisions: list[str]


def _answers(model: Model, requests: pd.DataFrame) -> _Answers:
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
    return _Answers(
        model.info.name,
        model.info.version,
        list(zip(*(column.to_pylist() for column in columns), strict=True)),
        _gaps(requests),
        scored.column("score").to_pylist(),
        scored.column("decision").to_pylist(),
    )


def _gaps(requests: pd.DataFrame) -> list[dict[str, str]]:
    """Return for each row its fields without a value, as the statuses that are recorded with it."""
    absent = requests[list(FEATURES)].isna().to_numpy()
    known: dict[bytes, dict[str, str]] = {}
    found = []
    for row in absent:
        key = row.tobytes()
        if key not in known:
            known[key] = {name: "missing" for name, gap in zip(FEATURES, row, strict=True) if gap} or _NONE
        found.append(known[key])
    return found


def _us(instant: datetime) -> int:
    return int(instant.timestamp()) * _SECOND_US
