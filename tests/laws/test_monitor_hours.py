"""Laws of the hours of a day: they add up to it to the byte, in any order, and each can be taken away."""

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import NotFound
from harness.monitor.day import DayRange, DayState, midnight
from harness.monitor.hours import EARLIER, LATER, DayHours, fold_hours, names_of
from policies.drift import FeaturePlan, MonitorPlan, cut_feature
from policies.errors import EvidenceMismatch

ZONE, HOUR_US = "Europe/Berlin", 3_600_000_000
DATE = dt.date(2026, 10, 25)  # the day on which Berlin has an hour twice
BEGINS = round(midnight(DATE, ZONE).timestamp() * 1e6)
DAY = DayRange(DATE, 1, 1, midnight(DATE + dt.timedelta(days=1), ZONE))
PLAN = MonitorPlan(
    features=(
        cut_feature("x", "float64", pa.array([0.5, 1.0, 2.0, 1e9], pa.float64())),
        FeaturePlan(name="level", type="category", levels=("a", "b")),
    )
)
INSTANTS = st.one_of(
    st.integers(BEGINS - 2 * HOUR_US, BEGINS + 27 * HOUR_US),
    st.integers(0, 26).map(lambda hour: BEGINS + hour * HOUR_US),
    st.sampled_from([-(2**62), 0, 2**62]),
)
FLOATS = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))
ROWS = st.lists(
    st.tuples(INSTANTS, FLOATS, FLOATS, st.sampled_from(["a", "b", "new", None])), min_size=1, max_size=30
)


def batch(rows):
    times, scores, xs, levels = zip(*rows, strict=True)
    return pa.RecordBatch.from_pydict(
        {
            "occurred_at": pa.array(times, pa.timestamp("us", "UTC")),
            "score": pa.array(scores, pa.float64()),
            "f.x": pa.array(xs, pa.float64()),
            "f.level": pa.array(levels, pa.string()),
        }
    )


def folded(*parts):
    return fold_hours([batch(rows) for rows in parts if rows], PLAN, DAY, timezone=ZONE, threshold=0.5)


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, data=st.data())
def test_the_hours_of_any_batches_in_any_order_are_the_day_to_the_byte(rows, data):
    cut = data.draw(st.integers(0, len(rows)))
    whole = DayState.of(batch(rows), PLAN, 0.5)
    hours = folded(rows[:cut], rows[cut:])
    assert hours.merged(PLAN).to_json() == whole.to_json()
    assert hours.to_json() == folded(data.draw(st.permutations(rows))).to_json()
    states = data.draw(st.permutations(list(hours.hours.values())))
    assert states[0].merge(*states[1:]).to_json() == whole.to_json()
    one_by_one = DayState.empty(PLAN)
    for state in states:
        one_by_one = state.merge(one_by_one)
    assert one_by_one.to_json() == whole.to_json()
    assert DayHours.from_json(hours.to_json(), PLAN) == hours


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, data=st.data())
def test_hours_taken_out_leave_what_was_never_with_them(rows, data):
    hours = folded(rows)
    gone = data.draw(st.lists(st.sampled_from(list(hours.hours)), unique=True))
    left = [state for name, state in hours.hours.items() if name not in gone]
    rest, never = hours.without(gone, PLAN), DayState.empty(PLAN).merge(*left)
    assert rest.decisions == never.decisions
    assert rest.window.to_json() == never.window.to_json()
    assert rest.scores == never.scores
    back = rest.merge(*(hours.hours[name] for name in gone))
    assert back.to_json() == hours.merged(PLAN).to_json()


@settings(deadline=None, max_examples=60)
@given(rows=ROWS)
def test_each_decision_is_in_the_hour_in_which_it_occurred(rows):
    expected = dict.fromkeys(names_of(DAY, ZONE), 0)
    names = list(expected)
    for at, *_ in rows:
        place = min(max((at - BEGINS) // HOUR_US, -1), 25) + 1
        expected[names[place]] += 1
    found = {name: state.decisions for name, state in folded(rows).hours.items()}
    assert found == {name: count for name, count in expected.items() if count}


@pytest.mark.parametrize(("date", "zone", "hours"), [
    (dt.date(2026, 10, 25), "Europe/Berlin", 25),
    (dt.date(2026, 3, 29), "Europe/Berlin", 23),
    (dt.date(2026, 3, 18), "Asia/Kathmandu", 24),
    (dt.date(2026, 4, 5), "Australia/Lord_Howe", 25),  # the last one is half an hour
])  # fmt: skip
def test_a_day_has_the_hours_of_its_zone(date, zone, hours):
    day = DayRange(date, 1, 1, midnight(date + dt.timedelta(days=1), zone))
    names = names_of(day, zone)
    assert (names[0], names[-1], len(set(names))) == (EARLIER, LATER, hours + 2)
    assert [dt.datetime.fromisoformat(name) for name in names[1:-1]] == [
        midnight(date, zone) + dt.timedelta(hours=place) for place in range(hours)
    ]


def test_what_was_never_in_a_day_cannot_be_taken_out():
    one, two = (folded([(BEGINS, 0.5, x, "a")]) for x in (1.0, 1e9))
    with pytest.raises(NotFound, match="hour with decisions"):
        one.without([LATER], PLAN)
    with pytest.raises(EvidenceMismatch, match="added before"):
        one.merged(PLAN).subtract(two.merged(PLAN))
    other = MonitorPlan(features=PLAN.features[:1])
    with pytest.raises(EvidenceMismatch, match="the plan"):
        one.merged(PLAN).merge(DayState.empty(other))
    with pytest.raises(EvidenceMismatch, match="the plan"):
        DayHours.from_json(one.to_json(), other)
