"""How columns of a segment's file are packed: by whether values repeat, and whether packing helps."""

import math
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.log.encodings import how_to_write
from harness.log.part_writer import PartWriter
from harness.log.payload import POSITION
from recorders.columns import STATUSES

ROWS = 4_000
CHANCE = random.Random(1)
DRAWN = [CHANCE.gauss(0, 1) for _row in range(ROWS)]
COLUMNS = {
    "position": pa.array(range(1, ROWS + 1)),
    "drawn": pa.array(DRAWN),
    "with_nulls": pa.array([None if value < 0 else value for value in DRAWN]),
    "rounded": pa.array([float(int(1e6 * value)) / 1024 for value in DRAWN]),
    "few": pa.array([float(row % 7) for row in range(ROWS)]),
    "nothing": pa.nulls(ROWS, pa.float64()),
    "id": pa.array([f"decision-{row:08}" for row in range(ROWS)]),
    "kind": pa.array([f"kind-{row % 7}" for row in range(ROWS)]),
    "flags": pa.array([row % 2 == 0 for row in range(ROWS)]),
}
SCHEMA = pa.schema(
    [POSITION, *(pa.field(name, column.type) for name, column in COLUMNS.items() if name != "position")]
)
TABLE = pa.table(list(COLUMNS.values()), schema=SCHEMA)


@pytest.fixture(scope="module")
def chunks(tmp_path_factory):
    """What the file's footer says of each column of its only row group."""
    return footer(TABLE, tmp_path_factory.mktemp("part") / "part")


def footer(table: pa.Table, path: Path):
    writer = PartWriter(path, table.schema)
    for batch in table.to_batches():
        writer.add(batch)
    writer.close()
    group = pq.read_metadata(path).row_group(0)
    return {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}


@pytest.mark.parametrize("name", ["drawn", "with_nulls"])
def test_numbers_that_neither_repeat_nor_pack_are_written_as_they_are(chunks, name):
    assert not chunks[name].has_dictionary_page
    assert chunks[name].compression == "UNCOMPRESSED"


def test_numbers_that_pack_are_packed_without_a_dictionary(chunks):
    assert not chunks["rounded"].has_dictionary_page
    assert chunks["rounded"].compression == "ZSTD"


@pytest.mark.parametrize("name", ["few", "kind", "nothing"])
def test_values_that_repeat_are_numbers_of_a_dictionary(chunks, name):
    assert "RLE_DICTIONARY" in chunks[name].encodings
    assert chunks[name].compression == "ZSTD"


def test_ids_hold_each_text_once(chunks):
    assert not chunks["id"].has_dictionary_page
    assert chunks["id"].compression == "ZSTD"


def test_a_number_that_does_not_repeat_takes_no_more_than_its_own_bytes(chunks):
    assert chunks["drawn"].total_compressed_size < 8.1 * ROWS


def test_texts_without_a_dictionary_can_be_read_as_one(tmp_path):
    """A column of mostly nulls is: the reader goes by its size."""
    footer(TABLE, tmp_path / "part")
    found = pq.read_table(tmp_path / "part", read_dictionary=["id"]).column("id")
    assert found.to_pylist() == COLUMNS["id"].to_pylist()


def test_rows_of_another_kind_than_the_first_come_back_as_they_were(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.log.part_writer.ROWS_PER_GROUP", ROWS)
    turned = {
        "position": pa.array(range(ROWS + 1, 2 * ROWS + 1)),
        "drawn": pa.array([1.0 if row % 2 else math.nan for row in range(ROWS)]),
        "few": COLUMNS["drawn"],
        "nothing": COLUMNS["drawn"],
        "id": pa.array(["", *["same" * 50] * (ROWS - 1)]),
        "kind": COLUMNS["id"],
    }
    later = pa.table([turned.get(name, COLUMNS[name]) for name in SCHEMA.names], schema=SCHEMA)
    writer = PartWriter(tmp_path / "part", SCHEMA)
    for table in (TABLE, later):
        for batch in table.to_batches():
            writer.add(batch)
    assert len(writer.close().groups) == 2
    found = pq.read_table(tmp_path / "part")
    wanted = pa.concat_tables([TABLE, later])
    for name in SCHEMA.names:
        assert str(found.column(name).to_pylist()) == str(wanted.column(name).to_pylist())


def test_what_is_compressed_already_is_left_alone():
    told = how_to_write(TABLE, opaque=("id",))
    assert told["compression"]["id"] == "NONE"
    assert "id" not in told["write_statistics"]
    assert "id" not in told["use_dictionary"]
    assert "id" not in told["column_encoding"]


def test_where_a_value_comes_twice_decides():
    twice = pa.table({"text": ["a", "a", "b", "b"], "number": [1.5, 1.5, None, None]})
    hardly = pa.table({"text": ["a", "a", "b", "c"], "number": [1.5, None, None, None]})
    assert how_to_write(twice)["use_dictionary"] == ["text", "number"]
    assert how_to_write(hardly)["use_dictionary"] == []


def test_what_lists_and_records_hold_is_packed_as_columns_are(tmp_path):
    """Parquet knows it by its path alone: a list's own name reaches none of it."""
    told = [[{"field": f"f{row % 7}", "status": "missing"}] * 3 if row % 2 else None for row in range(ROWS)]
    drawn = [[CHANCE.gauss(0, 1) for _ in range(row % 3)] for row in range(ROWS)]
    numbers = pa.list_(pa.float64())
    columns = {
        "position": COLUMNS["position"],
        "statuses": pa.array(told, STATUSES),
        "drawn": pa.array(drawn, numbers),
        "few": pa.array([[float(row % 5), None] for row in range(ROWS)], numbers),
        "nothing": pa.nulls(ROWS, STATUSES),
    }
    fields = [POSITION, *(pa.field(name, columns[name].type) for name in columns if name != "position")]
    table = pa.table(list(columns.values()), schema=pa.schema(fields))
    found = footer(table, tmp_path / "part")
    packed = ["statuses.list.item.field", "statuses.list.item.status", "few.list.item"]
    assert {found[name].compression for name in packed} == {"ZSTD"}
    assert all("RLE_DICTIONARY" in found[name].encodings for name in packed)
    assert found["statuses.list.item.field"].total_compressed_size < 2 * ROWS
    assert found["drawn.list.item"].compression == "UNCOMPRESSED"
    assert not found["drawn.list.item"].has_dictionary_page
    assert pq.read_table(tmp_path / "part").equals(table)
