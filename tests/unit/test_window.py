"""Windows: days count whole or not at all, and ends in time become positions once."""

import datetime as dt

import numpy as np

from harness.window import COUNTED, OPEN, OUTSIDE, PARTIAL, Bounds, microseconds, row_codes
from replay.ranges import AsOf

DAY = dt.timedelta(days=1)
NEW_YORK = "America/New_York"


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def place(position: int, time: str) -> AsOf:
    return AsOf(1, position, at(time), "0" * 64)


def codes(bounds: Bounds, now: str, *times: str, timezone: str | None = NEW_YORK) -> list[int]:
    occurred = np.asarray([microseconds(at(time)) for time in times], dtype=np.int64)
    found = row_codes(occurred, bounds, timezone=timezone, now=place(9, now), label_window=DAY)
    return [int(code) for code in found]


MARCH = Bounds(at("2013-03-09T05:00:00+00:00"), at("2013-03-12T04:00:00+00:00"))


def test_a_day_counts_when_its_end_is_older_than_the_label_window() -> None:
    # New York's clocks jump at 2013-03-10 07:00Z: that day ends at 04:00Z.
    times = ["2013-03-10T05:00:00+00:00", "2013-03-11T03:59:59+00:00"]
    assert codes(MARCH, "2013-03-12T03:59:59+00:00", *times) == [OPEN, OPEN]
    assert codes(MARCH, "2013-03-12T04:00:00+00:00", *times) == [COUNTED, COUNTED]


def test_what_occurred_outside_and_days_that_the_window_cuts_do_not_count() -> None:
    cut = Bounds(at("2013-03-09T12:00:00+00:00"), at("2013-03-12T04:00:00+00:00"))
    times = ["2013-03-09T11:00:00+00:00", "2013-03-09T13:00:00+00:00", "2013-03-12T04:00:00+00:00"]
    assert codes(cut, "2013-04-01T00:00:00+00:00", *times) == [OUTSIDE, PARTIAL, OUTSIDE]


def test_without_days_only_the_ends_matter() -> None:
    times = ["2013-03-09T04:59:59+00:00", "2013-03-09T05:00:00+00:00", "2013-03-12T04:00:00+00:00"]
    found = codes(MARCH, "2013-03-09T06:00:00+00:00", *times, timezone=None)
    assert found == [OUTSIDE, COUNTED, OUTSIDE]


def test_no_decision_gives_no_code() -> None:
    assert codes(MARCH, "2013-03-09T06:00:00+00:00") == []


def test_positions_and_times_say_where_a_place_stands() -> None:
    by_position = Bounds(10, 20)
    assert [by_position.seen_from(place(p, "2013-01-01T00:00:00+00:00")) for p in (9, 10, 19, 20)] == [
        "ahead",
        "open",
        "open",
        "past",
    ]
    assert MARCH.seen_from(place(5, "2013-03-09T04:59:59+00:00")) == "ahead"
    assert MARCH.seen_from(place(5, "2013-03-12T04:00:00+00:00")) == "past"


class Hours:
    """A log of which position n was recorded at hour n of 2013-03-09."""

    def as_of(self, when: int | dt.datetime | str | None) -> AsOf:
        if isinstance(when, int):
            return place(when, (at("2013-03-09T00:00:00+00:00") + when * dt.timedelta(hours=1)).isoformat())
        assert isinstance(when, dt.datetime)
        hours = int((when - at("2013-03-09T00:00:00+00:00")) // dt.timedelta(hours=1))
        return AsOf(1, hours, when, "0" * 64)


def test_a_time_becomes_the_first_position_recorded_at_it_or_after() -> None:
    now = place(500, "2013-03-30T00:00:00+00:00")
    # 05:00 on the 9th is recorded as position 5; the range runs on for the label's window after the end.
    assert MARCH.positions(Hours(), now, late=DAY) == (5, 3 * 24 + 4 + 24 + 1)


def test_an_end_that_the_log_has_not_reached_has_no_position() -> None:
    assert MARCH.positions(Hours(), place(1, "2013-03-09T04:00:00+00:00"), late=DAY) == (None, None)
    assert MARCH.positions(Hours(), place(5, "2013-03-12T05:00:00+00:00"), late=DAY) == (5, None)


def test_a_window_is_over_when_its_last_decisions_have_matured() -> None:
    by_position = Bounds(10, 20)  # position 19 is recorded at 19:00
    assert not by_position.over(Hours(), place(18, "2013-04-01T00:00:00+00:00"), late=DAY)
    assert not by_position.over(Hours(), place(30, "2013-03-10T18:59:59+00:00"), late=DAY)
    assert by_position.over(Hours(), place(30, "2013-03-10T19:00:00+00:00"), late=DAY)
    assert not MARCH.over(Hours(), place(30, "2013-03-13T03:59:59+00:00"), late=DAY)
    assert MARCH.over(Hours(), place(30, "2013-03-13T04:00:00+00:00"), late=DAY)
