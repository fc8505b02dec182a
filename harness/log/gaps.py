"""Gaps: what the log says is missing from it: lost by recorders or a restore, left out by imports. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec

from harness.log.events import ControlEvent

LOSS: Final = "recorder.loss"
IMPORT: Final = "import.completed"
REWOUND: Final = "log.rewound"
TOLD: Final = (LOSS, IMPORT, REWOUND)
_NAMED: Final = ("writer", "decision_point", "reason", "count", "first", "last", "sequences")
_SHOWN: Final = 8
_REASON_MAX: Final = 32


class Gap(msgspec.Struct, frozen=True):
    """One loss that somebody reported.

    `count` is in events (of an import in rows of its file), None where nobody can know it; `known` then says
    what is (frames, batches, bytes). `first` and `last` bound the time of it as ISO 8601, "" where nobody
    says; `sequences` are the first and last frames or batches of the writer that it took, None where it took
    none that had a sequence.
    """

    position: int
    recorded_at: datetime
    writer: str
    decision_point: str
    reason: str
    count: int | None
    first: str
    last: str
    sequences: tuple[int, int] | None
    reported_by: str
    known: dict[str, Any]


class Sum(msgspec.Struct, frozen=True):
    """All gaps of one reason: how many, the events that they counted, and how many could not count any."""

    reason: str
    gaps: int
    events: int
    uncounted: int


class Gaps(msgspec.Struct, frozen=True):
    """Every loss known in [start, stop), in order of position, and the sums by reason."""

    start: int
    stop: int
    gaps: tuple[Gap, ...]
    sums: tuple[Sum, ...]
    events: int
    uncounted: int


def find(events: Iterable[ControlEvent], start: int, stop: int) -> Gaps:
    """Return the gaps that events with positions in [start, stop) report; events of other types are none.

    A sum over no gaps is 0 events; one that nobody could count is no 0, it is `uncounted`.

    >>> from datetime import UTC, datetime
    >>> body = {"writer": "w", "reason": "spool_rewound", "count": None, "frames": 3}
    >>> one = ControlEvent(7, datetime(2026, 1, 1, tzinfo=UTC), "recorder.loss", "w", "sidecar:s", body)
    >>> find([one], 1, 8).sums
    (Sum(reason='spool_rewound', gaps=1, events=0, uncounted=1),)
    >>> find([one], 8, 9).sums
    ()
    """
    within = sorted((one for one in events if start <= one.position < stop), key=lambda one: one.position)
    gaps = tuple(gap for one in within for gap in _gaps(one))
    reasons = sorted({gap.reason for gap in gaps})
    sums = tuple(_sum(reason, [gap for gap in gaps if gap.reason == reason]) for reason in reasons)
    events_lost = sum(one.events for one in sums)
    return Gaps(start, stop, gaps, sums, events_lost, sum(one.uncounted for one in sums))


def _gaps(event: ControlEvent) -> list[Gap]:
    if event.type == LOSS:
        return [_gap(event)]
    if event.type == REWOUND:
        return _rewound(event)
    return _left_out(event) if event.type == IMPORT else []


def _rewound(event: ControlEvent) -> list[Gap]:
    """Return what a restore lost. How many events stay lost nobody can count: sidecars ship theirs again."""
    lost = event.body.get("lost")
    first, last = (_count(lost.get(edge)) if isinstance(lost, dict) else None for edge in ("first", "last"))
    if first is None or last is None or last < first:
        return []
    known = {"epoch": event.body.get("previous"), "first_position": first, "last_position": last}
    return [
        Gap(
            position=event.position,
            recorded_at=event.recorded_at,
            writer="",
            decision_point="",
            reason="log_rewound",
            count=None,
            first="",
            last="",
            sequences=None,
            reported_by=event.actor,
            known=known,
        )
    ]


def _left_out(event: ControlEvent) -> list[Gap]:
    """Return the rows that an import left out, one gap a reason. Nobody knows who wrote the event."""
    body = event.body
    rejected = body.get("rejected")
    return [
        Gap(
            position=event.position,
            recorded_at=event.recorded_at,
            writer=event.subject,
            decision_point=str(body.get("decision_point") or ""),
            reason=f"rejected.{reason}",
            count=_count(count),
            first="",
            last="",
            sequences=None,
            reported_by=event.actor,
            known={name: body[name] for name in ("file", "source") if name in body},
        )
        for reason, count in sorted(rejected.items() if isinstance(rejected, dict) else ())
    ]


def _gap(event: ControlEvent) -> Gap:
    """Return what an event reports. A recorder wrote it: what is missing or of another type is unknown."""
    body = event.body
    return Gap(
        position=event.position,
        recorded_at=event.recorded_at,
        writer=str(body.get("writer") or event.subject),
        decision_point=str(body.get("decision_point") or ""),
        reason=str(body.get("reason") or "unknown"),
        count=_count(body.get("count")),
        first=str(body.get("first") or ""),
        last=str(body.get("last") or ""),
        sequences=_pair(body.get("sequences")),
        reported_by=event.actor,
        known={name: value for name, value in body.items() if name not in _NAMED},
    )


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _pair(value: object) -> tuple[int, int] | None:
    if isinstance(value, list) and [type(one) for one in value] == [int, int]:
        return (value[0], value[1])
    return None


def _sum(reason: str, gaps: list[Gap]) -> Sum:
    counted = [gap.count for gap in gaps if gap.count is not None]
    return Sum(reason, len(gaps), sum(counted), len(gaps) - len(counted))


def lines(found: Gaps) -> list[str]:
    """Return the gaps for people: one line each, then the sums.

    >>> lines(Gaps(1, 10, (), (), 0, 0))
    ['Nothing is known to be missing from [1, 10).']
    """
    if not found.gaps:
        return [f"Nothing is known to be missing from [{found.start}, {found.stop})."]
    width = min(max(len(gap.reason) for gap in found.gaps), _REASON_MAX) + 2
    shown = [f"{'position':>10}  {'writer':<{_SHOWN}}  {'events':>9}  {'reason':<{width}}where and when"]
    shown += [_line(gap, width) for gap in found.gaps]
    for one in found.sums:
        unknown = f", and {one.uncounted} of unknown size" if one.uncounted else ""
        reason = one.reason if one.reason.isprintable() else repr(one.reason)
        shown.append(f"{reason}: {one.events:,} events in {one.gaps - one.uncounted} gaps{unknown}")
    unknown = f", and {found.uncounted} gaps whose events nobody can count" if found.uncounted else ""
    extent = f"[{found.start}, {found.stop})"
    shown.append(f"{found.events:,} events are known to be missing from {extent}{unknown}.")
    return shown


def _line(gap: Gap, width: int) -> str:
    count = "unknown" if gap.count is None else f"{gap.count:,}"
    parts = [gap.decision_point] if gap.decision_point else []
    if gap.sequences:
        parts.append(f"sequences {gap.sequences[0]} to {gap.sequences[1]}")
    if gap.first:
        parts.append(f"{gap.first} to {gap.last}" if gap.first != gap.last else gap.first)
    parts += [f"{name}={value}" for name, value in sorted(gap.known.items())]
    line = f"{gap.position:>10}  {gap.writer[:_SHOWN]:<{_SHOWN}}  {count:>9}  {gap.reason:<{width}}"
    line += "  ".join(parts)
    # The words are a service's own: none of them may steer a terminal.
    return "".join(letter if letter.isprintable() else "?" for letter in line)
