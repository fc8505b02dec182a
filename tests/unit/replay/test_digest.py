import hashlib
import json
import struct

import numpy as np
import pyarrow as pa
import pytest

from replay.digest import CHUNK_ROWS, canonical_digest
from replay.errors import ColumnsError, NotOneValue


def sha(data):
    return hashlib.sha256(data).digest()


def test_it_is_the_digest_that_its_definition_spells():
    table = pa.table({"b": pa.array(["x", None, "yz"]), "a": pa.array([1.5, None, float("nan")])})
    nothing = sha(b"")
    nan = b"\x00\x00\x00\x00\x00\x00\xf8\x7f"
    ones = struct.pack("<I", 1)
    a = sha(sha(ones) + nothing + sha(struct.pack("<dd", 1.5, 0.0) + nan) + nothing)
    b = sha(sha(ones) + sha(struct.pack("<III", 1, 0, 2)) + sha(b"xyz") + nothing)
    header = {"chunk_rows": 65536, "columns": [["a", "f8"], ["b", "s"]], "format": "columns/1", "rows": 3}
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    assert canonical_digest(table) == sha(text + b"\n" + a + b).hex()


def test_the_digest_of_version_one_stays_what_it_was():
    """A golden figure: a change of it makes every registered training set unverifiable."""
    table = pa.table({"x": pa.array([0.5, None]), "s": pa.array(["", None]), "n": pa.array([1, 2**63 - 1])})
    assert canonical_digest(table) == "794dc574996c529586317313ce9e942dcb3a07b6842d2c79116fdd95d1ff40d0"


def test_all_nans_are_one_and_none_is_another():
    odd = np.frombuffer(struct.pack("<Q", 0x7FF8000000000001), dtype="<f8")
    assert canonical_digest(pa.table({"x": odd})) == canonical_digest(pa.table({"x": [float("nan")]}))
    assert canonical_digest(pa.table({"x": pa.array([None], pa.float64())})) != canonical_digest(
        pa.table({"x": [float("nan")]})
    )


def test_what_a_null_slot_hides_is_not_a_value():
    hidden = pa.Array.from_buffers(
        pa.string(),
        2,
        [pa.py_buffer(b"\x01"), pa.py_buffer(struct.pack("<iii", 0, 1, 3)), pa.py_buffer(b"abc")],
    )
    plain = pa.array(["a", None])
    assert hidden.to_pylist() == plain.to_pylist()
    assert canonical_digest(pa.table({"s": hidden})) == canonical_digest(pa.table({"s": plain}))


def test_chunks_are_cut_by_ordinal_across_batches():
    values = pa.array(np.arange(CHUNK_ROWS * 2 + 7, dtype=np.int64))
    table = pa.table({"n": values})
    assert canonical_digest(table) == canonical_digest(table.to_batches(max_chunksize=999))
    assert canonical_digest(table.to_reader(max_chunksize=70_001)) == canonical_digest(table)


def test_a_type_without_canonical_bytes_is_named():
    with pytest.raises(NotOneValue, match="Column 'x' has type int32") as caught:
        canonical_digest(pa.table({"x": pa.array([1], pa.int32())}))
    assert caught.value.column == "x"
    with pytest.raises(NotOneValue, match=r"timestamp\[us\]"):
        canonical_digest(pa.table({"x": pa.array([1], pa.timestamp("us"))}))


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(ColumnsError, match="share a name"):
        canonical_digest(pa.table([pa.array([1]), pa.array([2])], names=["x", "x"]))


def test_a_batch_of_other_columns_is_refused():
    batches = [pa.record_batch({"x": [1.0]}), pa.record_batch({"y": [1.0]})]
    with pytest.raises(ColumnsError, match="A batch has columns y"):
        canonical_digest(batches)
    with pytest.raises(ColumnsError, match="later batch"):
        canonical_digest([pa.record_batch({"x": [1.0]}), pa.record_batch({"x": [1]})])


def test_no_batch_names_no_columns():
    assert canonical_digest([]) == canonical_digest(pa.table({}))
