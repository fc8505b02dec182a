"""Options that say where in the log: half-open ranges, places, durations."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click

from harness.errors import UsageError
from harness.log.log import Log
from harness.log.places import check_range, edge_at, parse

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SHOWN = 40

Command = Callable[..., Any]


def range_options(command: Command) -> Command:
    """Add --decision-point, --from and --to to a command."""
    return _with_range(command, required=True)


def optional_range(command: Command) -> Command:
    """Add the same to a command that may read them from a file instead."""
    return _with_range(command, required=False)


def _with_range(command: Command, *, required: bool) -> Command:
    for option in (
        click.option(
            "--to", "stop", metavar="PLACE", help="First position or time after the range. Default: the end."
        ),
        click.option(
            "--from", "start", metavar="PLACE", default="1", help="First position or time. Default: 1."
        ),
        click.option("--decision-point", "-d", required=required, help="Where the decisions were made."),
    ):
        command = option(command)
    return command


def range_of(log: Log, decision_point: str, start: str, stop: str | None) -> tuple[int, int]:
    """Return the half-open range of positions; a time means the first position recorded then or later.

    Without `stop` it ends after the last decision there, not at the end of the log, which what the command
    itself appends would move: the same command again means the same range.
    """
    first, after = span(log, start, stop)
    if stop is not None:
        return first, after
    latest = log.rows("latest", stop=after, kind="decision", decision_point=decision_point, rows=1)
    return first, max(first, latest[0][0] + latest[0][1] if latest else after)


def span(log: Log, start: str, stop: str | None) -> tuple[int, int]:
    """Return the half-open range of positions, by default up to the end of the log.

    Raises:
        RangeUnusable, UnknownPosition, TimeAhead: it is none, or the log has not got that far.
    """
    head = log.head().position
    first, after = edge(log, start), head + 1 if stop is None else edge(log, stop)
    check_range(first, after, head)
    return first, after


def edge(log: Log, text: str) -> int:
    """Return the position that a number names; of a time, the first one recorded then or later."""
    place = parse(text)
    assert place is not None, "parse answers None for None alone"
    return edge_at(log.as_of, place)


def duration(text: str) -> timedelta:
    """Return a length of time written as a number and one of s, m, h, d, w.

    >>> duration("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{text!r} is no duration.", "Expected a number and s, m, h, d or w.", "Write 24h or 7d."
        )
    try:
        return timedelta(seconds=float(found[1]) * _UNITS[found[2]])
    except OverflowError as error:
        raise UsageError(
            f"{text.strip()[:_SHOWN]!r} is longer than time itself.",
            "Expected less than 999999999 days.",
            "Write 24h or 7d.",
        ) from error


def written(length: timedelta) -> str:
    """Return a length of time as `duration` reads it, in the largest unit that it is a whole number of.

    >>> written(timedelta(hours=36)), written(timedelta(days=7)), written(timedelta(seconds=0.5))
    ('36h', '7d', '0.5s')
    """
    seconds = length.total_seconds()
    for unit in "dhm":
        if seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:.0f}{unit}"
    return f"{seconds:g}s"


def names(text: str | None) -> tuple[str, ...] | None:
    """Return the names of a comma-separated list, None for None.

    >>> names("a, b,")
    ('a', 'b')
    """
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())
