"""A decision that is being taken: the context manager of `Recorder.decision`."""

import time
from collections.abc import Callable, Mapping
from copy import copy
from datetime import datetime
from typing import Self, TypedDict, Unpack

from recorders.guard import Guard


class Known(TypedDict, total=False):
    """The keywords of `Recorder.record`: what is known of a decision beside its features."""

    score: float | None
    decision: str | None
    decision_id: str | None
    occurred_at: datetime | None
    unit: str | None
    propensity: float | None
    inclusion: float
    latency_us: int | None
    trace_id: str | None
    statuses: Mapping[str, str] | None
    model: str | None
    model_version: str | None


class PendingDecision:
    """One decision between the moment its features are known and the moment it is taken.

    `record` is the recorder's, which never raises. `decision_id` is None until the block ends, and
    after it when the event was not accepted.
    """

    def __init__(
        self,
        record: Callable[..., str | None],
        features: Mapping[str, object],
        known: Known,
        mutable: tuple[str, ...],
    ) -> None:
        self._record = record
        self._features = features
        self._known = known
        self._mutable = mutable
        self._entered_ns = 0
        self.decision_id: str | None = None
        _check(known)

    def result(self, **known: Unpack[Known]) -> None:
        """Add what became known: keywords of `record`, such as score, decision and propensity."""
        _check(known)
        self._known.update(known)

    def __enter__(self) -> Self:
        with Guard(_left_to_record):
            # The block may change its own, and what is in it; the snapshot stays.
            taken = dict(self._features)
            taken.update((name, copy(taken[name])) for name in self._mutable if name in taken)
            self._features = taken
        self._entered_ns = time.perf_counter_ns()
        return self

    def __exit__(self, *_: object) -> None:
        self._known.setdefault("latency_us", (time.perf_counter_ns() - self._entered_ns) // 1000)
        self.decision_id = self._record(self._features, **self._known)


def _left_to_record(_error: Exception) -> None:
    """A mapping that cannot be copied is refused, and counted, where it is recorded."""


def _check(known: Known) -> None:
    """Refuse a keyword that `record` does not have where it is written, not where the block ends."""
    for name in known:
        if name not in Known.__annotations__:
            raise TypeError(f"record() has no keyword {name!r}")
