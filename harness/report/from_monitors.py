"""From what monitors said of a decision point to the inputs that a page shows."""

from collections.abc import Iterator
from typing import Any

from harness.log.log import Log
from harness.monitor.registered import list_monitors
from harness.monitor.run import INPUTS
from harness.report.figures import InputRow, WatchedInputs

_ROWS_MAX = 12


def inputs_of(log: Log, decision_point: str, place: int) -> tuple[WatchedInputs, ...]:
    """Return the newest answer of each monitor of a decision point, as stored up to a position."""
    names = [
        each.id
        for each in list_monitors(log)
        if each.declared.monitor.decision_point == decision_point and each.event.position <= place
    ]
    said = [log.controls(INPUTS, name, up_to=place) for name in names]
    return tuple(watched(max((event.body for event in events), key=_day)) for events in said if events)


def watched(body: dict[str, Any]) -> WatchedInputs:
    """Return what one answer says: what is broken first, then as the answer ranks it."""
    rows = list(_rows(body))
    return WatchedInputs(
        monitor=body["monitor"],
        day=body["day"],
        answer=body["answer"],
        decisions=body["decisions"],
        rows=tuple(rows[:_ROWS_MAX]),
        left=max(len(rows) - _ROWS_MAX, 0),
        encrypted=tuple(body.get("encrypted", ())),
    )


def _rows(body: dict[str, Any]) -> Iterator[InputRow]:
    bad = [each for each in body["quality"] if each["answer"] == "broken"]
    for each in bad:
        yield InputRow(each["feature"] or "all decisions", "broken", each["reason"])
    named = {each["feature"] for each in bad}
    for each in body["drift"]["features"]:
        if each["feature"] not in named:
            yield InputRow(each["feature"], each["answer"], each["reason"])


def _day(body: dict[str, Any]) -> str:
    return str(body["day"])
