"""What a request saw does not depend on what happened later."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.demo.flights import FEATURES, WEATHER, build_requests
from tests.unit.demo_tables import flight, report, tables

MORNING = pd.Timestamp("2013-01-01T10:00:00Z")

flights = st.builds(
    flight,
    time_hour=st.integers(0, 8).map(lambda hour: f"{MORNING + pd.Timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}"),
    minute=st.integers(0, 59),
    origin=st.sampled_from(["EWR", "JFK"]),
    tailnum=st.sampled_from(["N1", "N2"]),
    dep_delay=st.none() | st.integers(-20, 200),
    arr_time=st.integers(0, 23).map(lambda hour: hour * 100),
    arr_delay=st.none() | st.integers(-60, 300),
)


def hour_of(instant: pd.Timestamp) -> str:
    return f"{instant.floor('h'):%Y-%m-%dT%H:%M:%SZ}"


HOURS = [hour_of(MORNING + pd.Timedelta(hours=hour)) for hour in range(-2, 11)]
COLUMNS = ["scheduled", "decision_id", *FEATURES]

weathers = st.lists(
    st.builds(
        report,
        st.sampled_from(HOURS),
        origin=st.sampled_from(["EWR", "JFK"]),
        temp=st.integers(0, 100).map(float),
    ),
    unique_by=lambda row: (row["origin"], row["time_hour"]),
    max_size=2 * len(HOURS),
)


def sky(rows: list[dict[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["origin", "time_hour", *WEATHER])


def numbered(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [row | {"flight": number} for number, row in enumerate(rows)]


@settings(max_examples=25, deadline=None)
@given(st.lists(flights, min_size=1, max_size=12), weathers, st.integers(0, 540), st.data())
def test_features_at_a_moment_know_nothing_that_came_later(
    rows: list[dict[str, object]], observed: list[dict[str, object]], minute: int, data: st.DataObject
) -> None:
    rows = numbered(rows)
    now = MORNING + pd.Timedelta(minutes=minute)
    changed = []
    for row in rows:
        scheduled = pd.Timestamp(str(row["time_hour"])) + pd.Timedelta(minutes=int(str(row["minute"])))
        delay = row["dep_delay"]
        left = delay is not None and scheduled + pd.Timedelta(minutes=int(str(delay))) < now
        # Arrivals are never known at departure; a departure that has not happened may still be anything.
        other = row | {"arr_delay": data.draw(st.none() | st.integers(-60, 300)), "arr_time": 1234}
        if not left:
            wait = int((now - scheduled).total_seconds() // 60)
            other["dep_delay"] = data.draw(st.none() | st.integers(wait, wait + 300))
        changed.append(other)
    before = build_requests(tables(*rows, observed=sky(observed)))
    after = build_requests(tables(*changed, observed=sky(data.draw(others(observed, hour_of(now))))))
    past = before["scheduled"] <= now
    pd.testing.assert_frame_equal(before.loc[past, COLUMNS], after.loc[past, COLUMNS])


def others(observed: list[dict[str, object]], since: str) -> st.SearchStrategy[list[dict[str, object]]]:
    """Return weather tables that differ at most in rows labelled with the hour `since` or a later one.

    A row is observed within the hour that it is labelled with, mostly near its end: at any moment of an
    hour, the row of that hour may still lie ahead.
    """
    known = [row for row in observed if str(row["time_hour"]) < since]
    return weathers.map(lambda rows: known + [row for row in rows if str(row["time_hour"]) >= since])


@settings(max_examples=25, deadline=None)
@given(flights, st.integers(-30, 130).map(float))
def test_the_weather_of_the_requests_own_hour_and_later_changes_nothing(
    row: dict[str, object], temp: float
) -> None:
    own = hour_of(pd.Timestamp(str(row["time_hour"])))
    both = [report(hour, origin=str(row["origin"])) for hour in HOURS]
    changed = [
        each | {"temp": temp, "humid": temp} if str(each["time_hour"]) >= own else each for each in both
    ]
    assert any(str(each["time_hour"]) == own for each in both)
    before, after = (build_requests(tables(row, observed=sky(each))) for each in (both, changed))
    assert before["temperature"].tolist() == [39.0]
    pd.testing.assert_frame_equal(before[COLUMNS], after[COLUMNS])


@settings(max_examples=25, deadline=None)
@given(st.lists(flights, min_size=1, max_size=12))
def test_recent_delay_is_the_mean_over_the_flights_that_had_left(rows: list[dict[str, object]]) -> None:
    built = build_requests(tables(*numbered(rows)))
    minutes = (built["departed"] - built["scheduled"]).dt.total_seconds() / 60
    for at, row in built.iterrows():
        now, gone = row["scheduled"], built["departed"]
        recently = (gone >= now - pd.Timedelta(hours=2)) & (gone < now)
        others = recently & (built["origin"] == row["origin"]) & (built.index != at)
        expected = minutes[others].mean() if others.any() else float("nan")
        assert row["recent_delay"] == pytest.approx(expected, nan_ok=True)


@settings(max_examples=15, deadline=None)
@given(st.lists(flights, min_size=2, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_the_source_rows_does_not_matter(rows: list[dict[str, object]], chance: object) -> None:
    rows = numbered(rows)
    shuffled = list(rows)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # random.Random from Hypothesis
    pd.testing.assert_frame_equal(build_requests(tables(*rows)), build_requests(tables(*shuffled)))
