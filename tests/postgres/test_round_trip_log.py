"""Law, on the real database: record -> wire -> Arrow -> log -> Arrow changes no value."""

import uuid
from contextlib import closing

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.database import open_log
from recorders.fields import FeatureSet
from recorders.inprocess import InProcessLink
from tests.support.recording import StillRecorder
from tests.support.snapshots import bits, expected, feature_sets, snapshots


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), feature_set=feature_sets())
def test_snapshots_come_back_from_the_log(log_url: str, data: st.DataObject, feature_set: FeatureSet) -> None:
    drawn = data.draw(st.lists(snapshots(feature_set), min_size=1, max_size=5))
    link = InProcessLink(log_url, [feature_set])
    # A writer of its own each time: the same one with other bytes would be a fork, and is refused.
    recorder = StillRecorder("law", feature_set, link, model="m", model_version="1", seed=uuid.uuid4().int)
    ids = [recorder.record(snapshot) for snapshot in drawn]
    assert None not in ids, recorder.samples
    with open_log(url=log_url) as log, closing(link):
        start = log.head().position + 1
        recorder.carry_all()
        assert recorder.counters.acked == len(drawn)
        (batch,) = log.read(start, start + len(drawn), kind="decision", decision_point="law")
        assert log.verify(start).holds
    rows = batch.to_pylist()
    assert [row["position"] for row in rows] == list(range(start, start + len(drawn)))
    for row, snapshot, name in zip(rows, drawn, ids, strict=True):
        assert row["decision_id"] == name
        found = [bits(row[f"f.{field.name}"]) for field in feature_set.fields]
        assert found == expected(feature_set, snapshot)
