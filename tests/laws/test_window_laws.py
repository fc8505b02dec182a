"""Laws of windows: what counted once counts for ever, and a day counts whole or not at all."""

import datetime as dt

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.window import COUNTED, OUTSIDE, Bounds, microseconds, row_codes
from policies.units import local_days
from replay.ranges import AsOf

# Around the two changes of New York's clocks in 2013.
MARCH = dt.datetime(2013, 3, 8, tzinfo=dt.UTC)
NOVEMBER = dt.datetime(2013, 11, 1, tzinfo=dt.UTC)
seconds = st.integers(0, 6 * 86_400)
begins = st.sampled_from([MARCH, NOVEMBER])
zones = st.sampled_from(["America/New_York", "UTC", "Asia/Kathmandu", "Pacific/Apia"])


def codes(occurred: list[int], bounds: Bounds, now: dt.datetime, zone: str) -> np.ndarray:
    place = AsOf(1, 1, now, "0" * 64)
    rows = np.asarray(occurred, dtype=np.int64)
    return row_codes(rows, bounds, timezone=zone, now=place, label_window=dt.timedelta(hours=24))


@given(begins, zones, st.lists(seconds, min_size=1, max_size=30), seconds, seconds, seconds, seconds)
def test_what_counted_once_counts_for_ever_and_days_are_whole(
    begin: dt.datetime, zone: str, rows: list[int], start: int, length: int, first: int, more: int
) -> None:
    occurred = [microseconds(begin + dt.timedelta(seconds=row)) for row in rows]
    from_ = begin + dt.timedelta(seconds=start)
    bounds = Bounds(from_, from_ + dt.timedelta(seconds=length + 1))
    now = begin + dt.timedelta(seconds=first)
    early = codes(occurred, bounds, now, zone)
    late = codes(occurred, bounds, now + dt.timedelta(seconds=more), zone)
    assert np.all(late[early == COUNTED] == COUNTED)
    assert np.array_equal(early == OUTSIDE, late == OUTSIDE)
    days = local_days(np.asarray(occurred, dtype=np.int64), zone)
    for day in np.unique(days):
        of_day = late[days == day]
        assert not np.any(of_day == COUNTED) or np.all(of_day == COUNTED)
