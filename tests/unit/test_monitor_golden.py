"""Bytes of a monitor's days and hours that were once written are read for ever, and written again."""

import datetime as dt
from pathlib import Path

import pyarrow as pa

from harness.monitor.day import DayRange, DayState, midnight
from harness.monitor.hours import DayHours, fold_hours
from policies.drift import MonitorPlan
from tests.unit.test_drift_golden import plan, rows

GOLDEN = Path(__file__).parents[1] / "golden"
DATE, ZONE = dt.date(2026, 3, 18), "Europe/Berlin"


def hours(watch: MonitorPlan) -> DayHours:
    table = rows()
    begins = round(midnight(DATE, ZONE).timestamp() * 1e6)
    at = [begins + place * 3_000_000_000 for place in range(-1, table.num_rows - 1)]
    scores = [place / 10 for place in range(table.num_rows)]
    batch = table.append_column("occurred_at", pa.array(at, pa.timestamp("us", "UTC")))
    (batch,) = batch.append_column("score", pa.array(scores)).combine_chunks().to_batches()
    day = DayRange(DATE, 1, 1, midnight(DATE + dt.timedelta(days=1), ZONE))
    return fold_hours([batch], watch, day, timezone=ZONE, threshold=0.5)


def test_what_was_kept_is_read_and_written_again() -> None:
    watch = plan()
    kept = {name: (GOLDEN / name).read_bytes() for name in ("monitor_day_1.json", "monitor_hours_1.json")}
    found = hours(watch)
    assert found.to_json() == kept["monitor_hours_1.json"]
    assert found.merged(watch).to_json() == kept["monitor_day_1.json"]
    assert DayHours.from_json(kept["monitor_hours_1.json"], watch) == found
    assert DayState.from_json(kept["monitor_day_1.json"], watch) == found.merged(watch)
