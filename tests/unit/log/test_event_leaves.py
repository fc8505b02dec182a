import struct
from hashlib import sha256

import pyarrow as pa
import pytest

from harness.log.event_leaves import control_leaf, event_leaf, event_leaves, row_digests
from harness.log.merkle import leaf_hash
from recorders.columns import ARROW_TYPES, OUTCOME_SCHEMA, STATUSES

NAN = struct.unpack(">d", bytes.fromhex("7ff8000000000001"))[0]
TYPES = {**ARROW_TYPES, "statuses": STATUSES}
SCHEMA = pa.schema([("decision_id", pa.string()), *TYPES.items()])
ROW = {
    "decision_id": "d",
    "float64": 1.5,
    "int64": -3,
    "bool": True,
    "string": "é",
    "category": "a",
    "timestamp": 7,
    "bytes": b"\x00",
    "list[float64]": [1.0, None, float("nan")],
    "statuses": [{"field": "age", "status": "stale"}],
}
OTHERS = {
    "decision_id": "e",
    "float64": -1.5,
    "int64": -4,
    "bool": False,
    "string": "e",
    "category": "b",
    "timestamp": 8,
    "bytes": b"",
    "list[float64]": [1.0, None],
    "statuses": [{"field": "age", "status": "default"}],
}


def digest(**values: object) -> bytes:
    return row_digests(pa.RecordBatch.from_pylist([{**ROW, **values}], SCHEMA))[0]


def test_an_outcome_is_hashed_as_the_definition_says() -> None:
    row = {"decision_id": "d1", "label": "late", "value": None, "occurred_at": 5}
    batch = pa.RecordBatch.from_pylist([row], OUTCOME_SCHEMA)
    names = b"".join(
        struct.pack(">I", len(text)) + text
        for name, kind in (
            (b"decision_id", b"string"),
            (b"label", b"string"),
            (b"value", b"float64"),
            (b"occurred_at", b"timestamp"),
        )
        for text in (name, kind)
    )
    fixed = bytes(9) + b"\x01" + (5).to_bytes(8, "big")
    other = b"\x00\x00\x00\x02d1" + b"\x00\x00\x00\x04late"
    expected = sha256(sha256(names).digest() + fixed + other).digest()
    assert row_digests(batch) == [expected]
    place = (9).to_bytes(8, "big") + b"\x00\x00\x00\x02d1"
    assert event_leaves(batch, 9) == [leaf_hash(place + expected)] == [event_leaf(9, "d1", expected)]


@pytest.mark.parametrize("name", list(ROW))
def test_any_other_value_and_null_have_another_digest(name: str) -> None:
    found = [digest(), digest(**{name: OTHERS[name]}), digest(**{name: None})]
    assert len(set(found)) == 3


def test_minus_zero_counts_and_the_bits_of_a_nan_do_not() -> None:
    assert digest(float64=0.0) != digest(float64=-0.0)
    assert digest(float64=NAN) == digest(float64=float("nan"))
    assert digest(**{"list[float64]": []}) != digest(**{"list[float64]": None})


def test_names_and_types_of_columns_count() -> None:
    one = pa.RecordBatch.from_pylist(
        [{"decision_id": "d", "a": 1}], pa.schema([("decision_id", pa.string()), ("a", pa.int64())])
    )
    other = one.rename_columns(["decision_id", "b"])
    assert row_digests(one) != row_digests(other)
    with_place = one.add_column(0, "position", pa.array([4]))
    assert row_digests(with_place) == row_digests(one)


def test_a_slice_has_the_leaves_of_its_place() -> None:
    rows = [{**ROW, "int64": number, "decision_id": f"d{number}"} for number in range(5)]
    batch = pa.RecordBatch.from_pylist(rows, SCHEMA)
    assert event_leaves(batch.slice(2, 2), 12) == event_leaves(batch, 10)[2:4]


def test_a_control_event_is_known_by_its_type() -> None:
    payload = b'{"type":"look.taken"}'
    assert control_leaf(payload, 3) == event_leaf(3, "look.taken", sha256(payload).digest())
