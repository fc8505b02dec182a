"""From what a user says to a place in the log, once."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from psycopg.rows import TupleRow

from harness.errors import NaiveTime, RangeUnusable, TimeAhead, UnknownPosition, UsageError
from harness.log.chain import genesis
from harness.log.connection import Connection
from harness.log.queries import query
from replay.ranges import AsOf

When = int | datetime | str | None
_NUMBER = re.compile(r"[+-]?[0-9]+")
_SHOWN = 40
_MICROSECOND = timedelta(microseconds=1)
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = 2**63 - 1  # what the database can compare
_DIGITS_MAX = 19  # as many as a position can have in the database


class Since(NamedTuple):
    """What lies between the place `then` and a later one; `then` is None where the log has not got to it.

    `whole`: a batch ends at `then`, so that none reaches beyond it.
    """

    then: AsOf | None
    now: AsOf
    whole: bool


def resolve(connection: Connection, when: When) -> tuple[AsOf, UUID]:
    """Return the place that `when` means, and which log it is of.

    That is a position, the last one that was recorded by an instant, or the end (None).

    Raises:
        NaiveTime: an instant without an offset.
        TimeAhead: an instant that has not come by the log's clock (docs/adr/0075).
        UnknownPosition: a position beyond the end.
        UsageError: neither a position nor an instant.
    """
    wanted = parse(when)
    if isinstance(wanted, datetime):
        found, now = connection.row(query("position_at"), time=wanted)
        if wanted > now:
            raise TimeAhead(wanted, utc(now))
        wanted = int(found)
    if wanted is None:
        epoch, head, chain, recorded_at, log_id = connection.row(query("head"))
        return AsOf(epoch, head, utc(recorded_at), chain.hex()), log_id
    return _place(connection, wanted)


def resolve_since(connection: Connection, position: int, when: When) -> tuple[Since, UUID]:
    """Return a place that was resolved before, and what `when` means, and which log it is of.

    It is one statement where `when` is the end. Raises what `resolve` does, of `when`.
    """
    epoch, head, chain, recorded_at, log_id, *there, whole = _found(connection, position)
    end = AsOf(epoch, head, utc(recorded_at), chain.hex())
    now = end if when is None else resolve(connection, when)[0]
    if whole is None or position > head:
        return Since(None, now, whole=False), log_id
    if position == head:
        return Since(end, now, whole=True), log_id
    epoch, recorded_at, chain = there
    return Since(AsOf(epoch, position, utc(recorded_at), chain.hex()), now, whole=whole), log_id


def check_range(start: int, stop: int, head: int) -> None:
    """Refuse what is no half-open range of positions of a log that ends at `head`; an empty one is one.

    Raises:
        RangeUnusable: it ends before it begins.
        UnknownPosition: the log has not got to where it begins, or stops.
    """
    if start > head + 1:
        raise UnknownPosition(start, head, begins=True)
    if start < 1 or stop < start:
        raise RangeUnusable(start, stop)
    if stop > head + 1:
        raise UnknownPosition(stop - 1, head, stops=True)


def edge_at(as_of: Callable[[datetime], AsOf], place: int | datetime) -> int:
    """Return the position that an edge of a range means: of a time, the first one recorded then or later.

    `as_of` is that of the log.

    Raises:
        TimeAhead: it has not come.
    """
    if isinstance(place, int):
        return place
    # Nothing is recorded before the first instant there is.
    before = max(place, _FIRST + _MICROSECOND) - _MICROSECOND
    try:
        return as_of(before).position + 1
    except TimeAhead as error:
        raise TimeAhead(place, error.now) from error


def _place(connection: Connection, position: int) -> tuple[AsOf, UUID]:
    *end, log_id, epoch, recorded_at, chain, _whole = _found(connection, position)
    if not 0 <= position <= end[1]:
        raise UnknownPosition(position, end[1])
    if position == end[1]:
        epoch, _position, chain, recorded_at = end
    elif position == 0:
        _id, _epoch, clock, _covered, created_at = connection.row(query("identity"))
        time = datetime.fromtimestamp(0, UTC) if clock == "event" else utc(created_at)
        return AsOf(1, 0, time, genesis(log_id, clock).hex()), log_id
    # Before the end it is the epoch that it was written in: a recovery changes nothing that was said of it.
    return AsOf(epoch, position, utc(recorded_at), chain.hex()), log_id


def _found(connection: Connection, position: int) -> TupleRow:
    return connection.row(query("place"), position=min(position, _LAST))


def parse(when: When) -> int | datetime | None:
    """Return a position or an instant; text is read as either.

    >>> parse("2013-05-01T00:00:00+02:00")
    datetime.datetime(2013, 4, 30, 22, 0, tzinfo=datetime.timezone.utc)
    >>> parse("2013-05-01")
    Traceback (most recent call last):
    harness.errors.NaiveTime: The time 2013-05-01 has no offset from UTC. Expected an instant, such as \
2013-05-01T00:00:00Z or 2013-05-01T00:00:00-04:00. Add the offset.
    """
    if isinstance(when, str):
        text = when.strip()
        if _NUMBER.fullmatch(text) and len(text) <= _DIGITS_MAX:
            return int(text)
        try:
            when = datetime.fromisoformat(text)
        except ValueError as error:
            raise _no_place(text) from error
    if isinstance(when, datetime):
        if when.tzinfo is None:
            raise NaiveTime(when.isoformat().removesuffix("T00:00:00"))
        try:
            return when.astimezone(UTC)
        except OverflowError as error:
            raise _no_place(when.isoformat()) from error
    # True is an int to Python, and nobody's position.
    if when is not None and (isinstance(when, bool) or not isinstance(when, int)):
        raise _no_place(repr(when))
    return when


def _no_place(said: str) -> UsageError:
    shown = said if len(said) <= _SHOWN else f"{said[:_SHOWN]}... ({len(said)} characters)"
    return UsageError(
        f'"{shown}" is no place in the log.',
        "Expected a position or an ISO 8601 time with offset, of the years 1 to 9999 in UTC.",
        "Write 120000 or 2013-05-01T00:00:00Z.",
    )


def utc(instant: datetime) -> datetime:
    """Return the instant in UTC: the driver's zone object is equal, and prints differently."""
    return instant.astimezone(UTC)
