"""Law: every value of every type is the same after record -> wire -> Arrow -> bytes -> Arrow."""

from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from recorders.columns import decode_batch, encode_batch, to_batch
from recorders.fields import FeatureSet, Field
from tests.support.recording import MemoryLink, StillRecorder
from tests.support.snapshots import FLOATS, TEXT, VALUES, bits, expected, feature_sets, snapshots

NAMES = TEXT.filter(bool)
BOOL = FeatureSet("bool", 1, (Field("x", "bool"),))


@settings(max_examples=150, deadline=None)
@given(data=st.data(), feature_set=feature_sets())
def test_features_come_back_as_they_were_served(data: st.DataObject, feature_set: FeatureSet) -> None:
    drawn = data.draw(st.lists(snapshots(feature_set), min_size=1, max_size=5))
    link = MemoryLink()
    recorder = StillRecorder("p", feature_set, link, model="m", model_version="1")
    ids = [recorder.record(snapshot) for snapshot in drawn]
    assert None not in ids, recorder.samples
    recorder.carry_all()
    batch = to_batch(link.frames[0], feature_set)
    stored = decode_batch(encode_batch(batch))
    assert stored.schema.equals(batch.schema, check_metadata=True)
    rows = stored.to_pylist()
    assert [row["decision_id"] for row in rows] == ids
    for row, snapshot in zip(rows, drawn, strict=True):
        assert [bits(row[f"f.{field.name}"]) for field in feature_set.fields] == expected(
            feature_set, snapshot
        )
        missing = {entry["field"] for entry in row["statuses"] or [] if entry["status"] == "missing"}
        assert missing == {field.name for field in feature_set.fields if field.name not in snapshot}


@settings(max_examples=150, deadline=None)
@given(
    known=st.fixed_dictionaries(
        {"decision_id": NAMES, "occurred_at": VALUES["timestamp"], "inclusion": st.floats(2**-20, 1)},
        optional={
            "unit": TEXT | st.none(),
            "score": FLOATS | st.none(),
            "decision": TEXT | st.none(),
            "propensity": st.floats(0, 1, exclude_min=True) | st.none(),
            "latency_us": st.integers(0, 2**63 - 1) | st.none(),
            "trace_id": TEXT | st.none(),
            "model": NAMES,
            "model_version": NAMES,
        },
    )
)
def test_the_envelope_comes_back_too(known: dict[str, object]) -> None:
    link = MemoryLink()
    recorder = StillRecorder("p", BOOL, link, model="m", model_version="1")
    assert recorder.record({"x": True}, **known), recorder.samples
    recorder.carry_all()
    row = decode_batch(encode_batch(to_batch(link.frames[0], BOOL))).to_pylist()[0]
    for name, value in known.items():
        assert bits(row[name]) == bits(value), name


@settings(max_examples=100, deadline=None)
@given(
    name=NAMES,
    label=NAMES,
    value=st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none(),
    at=VALUES["timestamp"],
)
def test_outcomes_come_back(name: str, label: str, value: float | None, at: datetime) -> None:
    link = MemoryLink()
    recorder = StillRecorder("p", BOOL, link, model="m", model_version="1")
    assert recorder.outcome(name, label, value, occurred_at=at), recorder.samples
    recorder.carry_all()
    row = decode_batch(encode_batch(to_batch(link.frames[0]))).to_pylist()[0]
    kept = float(value) if isinstance(value, bool) else value
    assert [bits(item) for item in row.values()] == [bits(item) for item in (name, label, kept, at)]
