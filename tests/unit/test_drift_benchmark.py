"""The benchmark of drift at small sizes: each part runs, and its table has every world."""

from benchmarks import drift
from benchmarks.tools import drift_peers


def test_our_report_tells_its_cost_and_calls_nothing_drifted_where_nothing_did(tmp_path):
    drift_peers.write_pair(tmp_path, 14_000)
    found = drift_peers.run_tool("ours", [tmp_path])
    assert found["drifted"] == {str(tmp_path): []}
    assert 0.0 < found["cpu_s"] < drift_peers.SECONDS_MAX
    assert 0.0 < found["before_mb"] <= found["peak_mb"] < drift_peers.MB_MAX


def test_the_table_of_other_tools_has_each_world_and_names_the_broken_feature():
    rows = {row.name: row.value for row in drift_peers.alarms({"duckdb": 1})}
    assert len(rows) == 2 * len(drift_peers.WORLDS)
    assert rows["1k rows against 10 days, broken: duckdb names it"] == 1.0


def test_our_table_has_each_world_with_jitter_and_without():
    rows = list(drift.alarm_table(sizes=((1_000, 1, 14),)))
    assert len(rows) == 2 * len(drift.WORLDS) + 1
    named = [row for row in rows if row.name.endswith(("found", "named"))]
    assert len(named) == 8
    assert all(row.holds for row in named if "broken" in row.name)
