"""What an hour of one feature takes: of real flights, and of the thirty features of the benchmark."""

import datetime as dt

import numpy as np
import pyarrow as pa

from harness.demo.flights import FEATURES, build_requests, load_tables
from harness.monitor.day import DayRange, DayState, midnight
from harness.monitor.hours import DayHours, fold_hours
from policies.drift import MonitorPlan, cut_feature
from tests.support import worlds

KB8, A_DAY = 8192, 1_000_000
DATE, ZONE = dt.date(2013, 7, 10), "America/New_York"
DAY = DayRange(DATE, 1, 1, midnight(DATE + dt.timedelta(days=1), ZONE))


def sizes(table: pa.Table, plan: MonitorPlan) -> dict[str, int]:
    hours = fold_hours(table.combine_chunks().to_batches(), plan, DAY, timezone=ZONE, threshold=0.5)
    assert DayHours.from_json(hours.to_json(), plan) == hours
    whole = DayState.of(table.combine_chunks().to_batches()[0], plan, 0.5)
    assert hours.merged(plan).to_json() == whole.to_json()
    return hours.sizes()


def test_an_hour_of_real_flights_takes_less_than_8_kb_a_feature() -> None:
    flights = build_requests(load_tables())
    times = flights["scheduled"].dt.tz_convert(ZONE)
    year, day = flights[list(FEATURES)], flights[times.dt.date == DATE]
    kinds = {name: "category" if year[name].dtype.kind not in "fi" else "float64" for name in FEATURES}
    columns = {name: pa.Array.from_pandas(year[name]) for name in FEATURES}
    plan = MonitorPlan(features=tuple(cut_feature(name, kinds[name], columns[name]) for name in FEATURES))
    found = sizes(
        pa.table(
            {
                "occurred_at": pa.array(day["scheduled"].dt.as_unit("us")),
                "score": pa.nulls(len(day), pa.float64()),
                **{f"f.{name}": pa.Array.from_pandas(day[name]) for name in FEATURES},
            }
        ),
        plan,
    )
    assert len(found) == 19  # from five in the morning to eleven at night
    assert max(found.values()) <= KB8 // 8


def test_an_hour_of_thirty_features_and_a_million_decisions_a_day_takes_less_than_8_kb() -> None:
    rng = np.random.default_rng(6)
    plan = worlds.plan_of(worlds.rows(rng, 100_000, "null"))
    served = worlds.rows(rng, 2 * A_DAY // 24, "null")
    begins = round(midnight(DATE, ZONE).timestamp() * 1e6)
    at = pa.array(begins + np.arange(served.num_rows) * (86_400_000_000 // A_DAY), pa.timestamp("us", "UTC"))
    table = served.append_column("occurred_at", at)
    found = sizes(table.append_column("score", pa.array(rng.random(served.num_rows))), plan)
    assert len(found) == 2
    assert max(found.values()) <= KB8
