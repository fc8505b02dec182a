"""Latencies that were measured beside the scores reach the paired table, by position."""

import pyarrow as pa

from harness.measured_columns import completed
from policies import plan_from


def test_a_measured_latency_stands_at_its_position_and_the_others_have_none() -> None:
    plan = plan_from(
        {"metrics": [{"name": "brier"}, {"name": "latency_over", "role": "context", "slo_us": 900}]}
    )
    paired = pa.table({"position": [5, 6, 7], "champion_latency_us": [100, 200, 300]})
    table = completed(paired, plan, {6: 950, 99: 1})
    assert table["challenger_latency_us"].to_pylist() == [None, 950, None]
    assert table["champion_latency_us"].to_pylist() == [100, 200, 300]
