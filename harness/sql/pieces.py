"""The pieces of a range that may hold what a query asks for, from what is known without reading them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from harness.log.events import ControlEvent
from harness.log.payload import POSITION, RECORDED_AT
from harness.log.predicate import Wanted
from harness.log.sealed import Sealed
from harness.sql.columns import DECISION_POINT
from harness.sql.pruner import Pruner
from recorders.fields import FeatureSet

# What is not sealed is left out, or read, in blocks of so many positions.
BLOCK: Final = 16_384


class Source(Protocol):
    """The log, as a query needs it (harness.log.log.Log)."""

    sealed: Sealed

    def scan(self, start: int, stop: int, wanted: Wanted) -> Iterator[pa.RecordBatch]:
        """Yield what is wanted of [start, stop)."""

    def rows(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a named statement."""

    def feature_sets(self) -> dict[str, FeatureSet]:
        """Return the registered feature sets by digest."""

    def controls(self, *, up_to: int | None = None) -> list[ControlEvent]:
        """Return the control events in order."""

    def close(self) -> None:
        """Give its connections back."""


class Piece(msgspec.Struct, frozen=True):
    """Positions [start, stop) of one decision point."""

    decision_point: str
    start: int
    stop: int


def pieces(source: Source, kind: str, span: tuple[int, int], pruner: Pruner) -> list[Piece]:
    """Return the pieces of [start, stop) that may hold events that are asked for, joined where they meet.

    They are left out by decision point, position and time of recording. Other columns are left to the
    statistics of row groups.
    """
    found: dict[str, list[Piece]] = {}
    for piece in (*_sealed(source, kind, span, pruner), *_hot(source, kind, span, pruner)):
        run = found.setdefault(piece.decision_point, [])
        if run and run[-1].stop == piece.start:
            piece = msgspec.structs.replace(run.pop(), stop=piece.stop)  # noqa: PLW2901 - one piece of both
        run.append(piece)
    return sorted((piece for run in found.values() for piece in run), key=lambda one: one.start)


def _sealed(source: Source, kind: str, span: tuple[int, int], pruner: Pruner) -> Iterator[Piece]:
    """Yield what segments may hold: from one segment to the next, so that neighbours can be joined."""
    start, stop = span
    held = [
        (number, max(start, segment.first), min(stop, segment.stop), point)
        for number, segment in enumerate(source.sealed.segments())
        if segment.first < stop and segment.stop > start
        for point in dict.fromkeys(part.decision_point for part in segment.parts if part.kind == kind)
    ]
    times = _times(source, [(first, end) for _number, first, end, _point in held], pruner)
    read = set()
    for (number, first, end, point), (earliest, latest) in zip(held, times, strict=True):
        if pruner.may_match(_known(point, first, end, earliest, latest)):
            read.add(number)
            yield Piece(point, first, end)
    pruner.scanned.segments += len({number for number, *_ in held})
    pruner.scanned.segments_read += len(read)


def _hot(source: Source, kind: str, span: tuple[int, int], pruner: Pruner) -> Iterator[Piece]:
    start, stop = max(span[0], source.sealed.stop()), span[1]
    if start >= stop:
        return
    before = source.rows("batch_at", position=start)  # a batch may begin before the range
    blocks = source.rows("blocks", kind=kind, start=before[0][0], stop=stop, positions=BLOCK)
    for point, first, end, earliest, latest, batches in blocks:
        pruner.scanned.batches += batches
        first, end = max(first, start), min(end, stop)  # noqa: PLW2901 - what of it is asked for
        if first < end and pruner.may_match(_known(point, first, end, earliest, latest)):
            pruner.scanned.batches_read += batches
            yield Piece(point, first, end)


def _times(
    source: Source, ranges: list[tuple[int, int]], pruner: Pruner
) -> list[tuple[datetime | None, datetime | None]]:
    """Return when the first and last batch of each range were recorded, where that is asked for."""
    if not ranges or RECORDED_AT.name not in {column.name for column in pruner.mentioned}:
        return [(None, None)] * len(ranges)
    places = [place for first, end in ranges for place in (first, end - 1)]
    (times,) = source.rows("recorded", positions=places)[0]
    return list(zip(times[::2], times[1::2], strict=True))


def _known(
    point: str, first: int, end: int, earliest: datetime | None, latest: datetime | None
) -> pc.Expression:
    position, recorded = pc.field(POSITION.name), pc.field(RECORDED_AT.name)
    known = (position >= first) & (position < end) & (pc.field(DECISION_POINT) == point)
    if earliest is None or latest is None:
        return known
    low, high = (pa.scalar(time, RECORDED_AT.type) for time in (earliest, latest))
    return known & (recorded >= low) & (recorded <= high)
