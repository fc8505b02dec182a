"""The columns that a plan reads beside those of every plan: latencies by position, features by name."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from harness.measured_columns import completed, read_decisions
from policies import plan_from


def test_a_measured_latency_stands_at_its_position_and_the_others_have_none() -> None:
    plan = plan_from(
        {"metrics": [{"name": "brier"}, {"name": "latency_over", "role": "context", "slo_us": 900}]}
    )
    paired = pa.table({"position": [5, 6, 7], "champion_latency_us": [100, 200, 300]})
    table = completed(paired, plan, {6: 950, 99: 1})
    assert table["challenger_latency_us"].to_pylist() == [None, 950, None]
    assert table["champion_latency_us"].to_pylist() == [100, 200, 300]


def test_a_covariate_that_no_decision_of_a_part_has_is_a_number_that_is_not_known() -> None:
    """A part whose decisions are all of an older feature set could not be folded; with others it could."""
    covariates = {"covariates": ["x"], "covariate_means": [0.5], "planned_units": 1000}
    plan = plan_from({"metrics": [{"name": "brier", "clip": 0.1, **covariates}]})
    experiment: Any = SimpleNamespace(plan=plan, rescore=None, decision_point="p")
    texts = dict.fromkeys(["decision_id", "unit", "decision"], pa.array(["a"], pa.string()))
    times = pa.array([datetime(2026, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    old = pa.record_batch({"position": [5], **texts, "occurred_at": times, "score": [0.5]})
    new = old.append_column("f.x", pa.array([7.0]))

    def read(*batches: pa.RecordBatch) -> pa.Table:
        log: Any = SimpleNamespace(read=lambda *_, **__: iter(batches))
        return read_decisions(log, experiment, 1, 9)

    assert read(old, new)["f.x"].to_pylist() == [None, 7.0]
    assert read(old).schema == read(new).schema == read(old, new).schema
    assert read(old)["f.x"].to_pylist() == [None]
    large = old.append_column("f.x", pa.array([2**62 + 1], pa.int64()))
    assert read(old, large)["f.x"].to_pylist() == [None, 2.0**62]
