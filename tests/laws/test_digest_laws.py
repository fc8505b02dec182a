"""Laws of the canonical digest: blind to layout, sharp for values."""

import io
import math
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from replay import digest as digest_module
from replay.digest import Cells, canonical_digest

INSTANT = pa.timestamp("us", tz="UTC")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KINDS = {
    "f8": (pa.float64(), st.floats(allow_nan=True, allow_infinity=True, width=64)),
    "i8": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "b1": (pa.bool_(), st.booleans()),
    "s": (pa.string(), st.text(max_size=6)),
    "x": (pa.binary(), st.binary(max_size=6)),
    "t": (INSTANT, st.integers(-(10**16), 10**16).map(lambda us: EPOCH + timedelta(microseconds=us))),
    "lf8": (pa.list_(pa.float64()), st.lists(st.one_of(st.none(), st.floats()), max_size=3)),
}


@st.composite
def tables(draw, kinds=tuple(KINDS)):
    rows = draw(st.integers(0, 12))
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4))
    columns = {}
    for number, kind in enumerate(chosen):
        arrow, values = KINDS[kind]
        cells = draw(st.lists(st.one_of(st.none(), values), min_size=rows, max_size=rows))
        columns[f"{number}:{kind}"] = pa.array(cells, arrow)
    return pa.table(columns)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """The same code, with chunk edges inside small tables."""
    monkeypatch.setattr(digest_module, "CHUNK_ROWS", 5)


def large(kind):
    return {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}.get(
        kind, pa.large_list(pa.float64()) if pa.types.is_list(kind) else kind
    )


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first text loads Unicode's tables
@given(tables(), st.integers(1, 7), st.randoms(use_true_random=False))
def test_it_is_blind_to_batches_slices_column_order_and_layouts(table, size, random):
    expected = canonical_digest(table)
    assert (
        canonical_digest(iter(table.to_batches(max_chunksize=size)) if table.num_rows else table) == expected
    )
    twice = pa.concat_tables([table, table]).combine_chunks().slice(table.num_rows)
    assert canonical_digest(twice) == expected
    names = list(table.schema.names)
    random.shuffle(names)
    assert canonical_digest(table.select(names)) == expected
    big = pa.schema([pa.field(f.name, large(f.type)) for f in table.schema])
    assert canonical_digest(table.cast(big)) == expected
    encoded = table
    for i, field in enumerate(table.schema):
        if field.type in {pa.string(), pa.int64()}:
            encoded = encoded.set_column(i, field.name, table.column(i).dictionary_encode())
    assert canonical_digest(encoded) == expected


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables(kinds=("f8", "i8", "b1", "s", "x", "lf8")), st.integers(1, 6))
def test_it_survives_two_parquet_writers(table, size):
    expected = canonical_digest(table)
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=size)
    assert canonical_digest(pq.read_table(io.BytesIO(sink.getvalue()))) == expected
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        path = Path(folder) / "part.parquet"
        connection.register("columns_in", table)
        connection.sql("SELECT * FROM columns_in").write_parquet(str(path))
        assert canonical_digest(pq.read_table(path)) == expected


def other(value, kind):
    """Return a value that is not `value`, as near to it as the type has one."""
    if value is None:
        return {"s": "", "x": b"", "b1": False, "lf8": [], "t": datetime(1970, 1, 1, tzinfo=UTC)}.get(kind, 0)
    if kind == "f8":
        return 0.0 if math.isnan(value) else (-0.0 if value == 0.0 and math.copysign(1, value) > 0 else None)
    if kind == "lf8":
        return [*value, None]
    if kind == "t":
        return value.replace(microsecond=(value.microsecond + 1) % 1_000_000)
    return {"i8": lambda v: v ^ 1, "b1": lambda v: not v, "s": lambda v: v + "\0", "x": lambda v: v + b"\0"}[
        kind
    ](value)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(tables(), st.data())
def test_any_changed_cell_or_null_flag_changes_it(table, data):
    assume(table.num_rows)
    column = data.draw(st.integers(0, table.num_columns - 1))
    row = data.draw(st.integers(0, table.num_rows - 1))
    name = table.schema.names[column]
    cells = table.column(column).to_pylist()
    kind = name.split(":")[1]
    for changed in (other(cells[row], kind), None if cells[row] is not None else other(None, kind)):
        altered = [*cells[:row], changed, *cells[row + 1 :]]
        found = table.set_column(column, name, pa.array(altered, table.schema.field(column).type))
        assert canonical_digest(found) != canonical_digest(table)


@given(tables())
def test_order_names_and_length_count(table):
    expected = canonical_digest(table)
    assert canonical_digest(table.rename_columns([f"{n}_" for n in table.schema.names])) != expected
    if table.num_rows:
        assert canonical_digest(table.slice(1)) != expected


@given(tables(), st.integers(0, 40))
def test_cells_of_a_part_are_taken_over_where_they_began_in_a_chunk(table, before):
    """What a look at kept pairs does: rows before the first whole chunk and after the last are read again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest_module, "CHUNK_ROWS", 3)
        earlier = pa.concat_tables([table] * 4).slice(0, before)
        cells = added(Cells(table.schema), earlier)
        kept = added(cells, table).since(earlier.num_rows)
        whole = cells.digest()
        lead = -earlier.num_rows % 3
        covered = len(bytes.fromhex(kept)) // (32 * table.num_columns) * 3
        again = added(added(Cells(table.schema), earlier), table.slice(0, lead) if kept else table)
        again.take_all(kept)
        again = added(again, table.slice(lead + covered)) if kept else again
        assert again.digest() == whole
        assert covered == max(0, (table.num_rows - lead) // 3 * 3)


def added(cells, table):
    for batch in table.to_batches():
        cells.add(batch)
    return cells
