"""The request stream of the demo, on small tables made by hand."""

import pandas as pd
import pytest

from harness.demo.flights import FEATURES, Tables, build_requests
from tests.unit.demo_tables import airports, flight, planes, report, tables, weather


def one(**changes: object) -> pd.Series:
    return build_requests(tables(flight(**changes))).iloc[0]


def test_arrival_is_read_on_the_clock_of_the_destination() -> None:
    # 05:15 in New York, two minutes late, at the gate at 08:30 in Houston: 4 h 13 min later.
    row = one(time_hour="2013-01-01T10:00:00Z", minute=15, dep_delay=2, arr_time=830, dest="IAH")
    assert row["scheduled"] == pd.Timestamp("2013-01-01T10:15Z")
    assert row["departed"] == pd.Timestamp("2013-01-01T10:17Z")
    assert row["arrived"] == pd.Timestamp("2013-01-01T14:30Z")


def test_arrival_after_midnight_is_on_the_next_day() -> None:
    row = one(time_hour="2013-01-02T03:00:00Z", minute=0, dep_delay=60, arr_time=15, dest="BOS")
    assert row["arrived"] == pd.Timestamp("2013-01-02T05:15Z")


def test_midnight_written_as_2400_is_midnight() -> None:
    row = one(time_hour="2013-01-02T03:00:00Z", minute=0, dep_delay=0, arr_time=2400, dest="BOS")
    assert row["arrived"] == pd.Timestamp("2013-01-02T05:00Z")


@pytest.mark.parametrize("dest", ["BQN", "PSE", "SJU", "STT"])
def test_airports_without_a_row_keep_atlantic_time(dest: str) -> None:
    # In July, New York and San Juan share the offset; in January they do not.
    row = one(time_hour="2013-01-01T10:00:00Z", minute=0, dep_delay=0, arr_time=1000, dest=dest)
    assert row["arrived"] == pd.Timestamp("2013-01-01T14:00Z")


@pytest.mark.parametrize(("arr_delay", "late"), [(15, 0.0), (16, 1.0), (-30, 0.0)])
def test_late_means_more_than_fifteen_minutes(arr_delay: int, late: float) -> None:
    assert one(arr_delay=arr_delay)["late"] == late


def test_a_cancelled_flight_has_no_departure_and_no_outcome() -> None:
    row = one(dep_delay=None, arr_time=None, arr_delay=None)
    assert pd.isna(row["departed"])
    assert pd.isna(row["arrived"])
    assert pd.isna(row["late"])


def test_a_diverted_flight_departs_and_has_no_outcome() -> None:
    row = one(dep_delay=5, arr_time=1400, arr_delay=None)
    assert not pd.isna(row["departed"])
    assert pd.isna(row["arrived"])
    assert pd.isna(row["late"])


def test_weekday_and_id_follow_the_local_day() -> None:
    # 02:30 UTC on Sunday is Saturday evening in New York.
    row = one(time_hour="2013-06-09T02:00:00Z", minute=30, carrier="UA", flight=7, origin="EWR")
    assert row["weekday"] == 6
    assert row["decision_id"] == "UA7-EWR-2013-06-08"


def test_gaps_of_weather_and_planes_stay_gaps() -> None:
    unknown_plane = flight(tailnum="N2", time_hour="2013-01-01T11:00:00Z")
    rows = build_requests(tables(unknown_plane, flight(tailnum=None)))
    assert rows["seats"].isna().all()
    assert rows["plane_age"].isna().all()
    assert rows["temperature"].tolist() == pytest.approx([39.0, float("nan")], nan_ok=True)
    assert rows["pressure"].isna().all()


def test_plane_and_weather_are_joined_by_tail_number_and_hour() -> None:
    row = one(tailnum="N1", time_hour="2013-01-01T11:00:00Z")
    assert (row["plane_age"], row["seats"], row["temperature"]) == (9.0, 55.0, 39.0)


@pytest.mark.parametrize("minute", [0, 59])
def test_the_weather_is_that_of_the_hour_before(minute: int) -> None:
    # A row is the first report of its hour, which may come in the hour's last minutes.
    observed = [report(f"2013-01-01T{hour}:00:00Z", temp=float(hour)) for hour in (9, 10, 11, 12)]
    rows = build_requests(
        tables(flight(time_hour="2013-01-01T11:00:00Z", minute=minute), observed=pd.DataFrame(observed))
    )
    assert rows["temperature"].tolist() == [10.0]


def test_a_gap_in_the_weather_is_not_filled_from_an_older_hour() -> None:
    assert pd.isna(one(time_hour="2013-01-01T12:00:00Z")["temperature"])
    assert pd.isna(one(time_hour="2013-01-01T10:00:00Z")["temperature"])


def test_every_feature_is_there_and_nothing_of_the_future_is_a_feature() -> None:
    rows = build_requests(tables(flight()))
    assert set(FEATURES) <= set(rows.columns)
    assert not {"dep_delay", "arr_delay", "departed", "arrived", "late"} & set(FEATURES)


def test_requests_come_in_the_order_of_their_schedule() -> None:
    second = flight(time_hour="2013-01-01T12:00:00Z", flight=1)
    first = flight(time_hour="2013-01-01T11:00:00Z", flight=2)
    rows = build_requests(tables(second, first))
    assert rows["scheduled"].is_monotonic_increasing
    assert rows["decision_id"].str.startswith("UA2-").iloc[0]


class TestRecentDelay:
    """The mean over flights that had already left; all from EWR, the request is at 12:00 UTC."""

    request = flight(flight=99, time_hour="2013-01-01T12:00:00Z", minute=0, dep_delay=0)

    def seen(self, *others: dict[str, object], request: dict[str, object] | None = None) -> float:
        rows = build_requests(tables(request or self.request, *others))
        return float(rows.set_index("decision_id").loc["UA99-EWR-2013-01-01", "recent_delay"])

    def test_nothing_before_is_unknown_and_not_zero(self) -> None:
        assert pd.isna(self.seen())

    def test_a_flight_counts_once_it_has_left(self) -> None:
        assert self.seen(flight(time_hour="2013-01-01T11:00:00Z", minute=0, dep_delay=30)) == 30.0

    def test_a_flight_that_is_still_waiting_does_not_count(self) -> None:
        waiting = flight(time_hour="2013-01-01T11:00:00Z", minute=0, dep_delay=60)
        assert pd.isna(self.seen(waiting))

    def test_two_hours_back_is_the_first_that_counts(self) -> None:
        edge = flight(flight=1, time_hour="2013-01-01T10:00:00Z", minute=0, dep_delay=0)
        before = flight(flight=2, time_hour="2013-01-01T09:00:00Z", minute=50, dep_delay=9)
        assert self.seen(edge, before) == 0.0

    def test_a_flight_that_left_early_is_not_part_of_its_own_mean(self) -> None:
        early = {**self.request, "dep_delay": -7}
        other = flight(time_hour="2013-01-01T11:00:00Z", minute=0, dep_delay=20)
        assert self.seen(other, request=early) == 20.0
        assert pd.isna(self.seen(request=early))

    def test_other_airports_do_not_count(self) -> None:
        assert pd.isna(self.seen(flight(origin="JFK", time_hour="2013-01-01T11:00:00Z", dep_delay=30)))


def test_tables_may_be_empty_of_everything_but_flights() -> None:
    source = Tables(tables(flight()).flights, weather().iloc[:0], planes().iloc[:0], airports())
    row = build_requests(source).iloc[0]
    assert pd.isna(row["seats"])
    assert pd.isna(row["temperature"])
