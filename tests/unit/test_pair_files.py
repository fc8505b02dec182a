"""A file of pairs is read in columns, or in whole rows at its ends, as it was written."""

import random
import string
from pathlib import Path

import pyarrow as pa
import pytest

import harness.pair_files
from harness.pair_files import PairFile, write

ROWS = 23


@pytest.fixture(params=[1, 4, 7, 100])
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> pa.Table:
    """Return rows that are written some at a time, beginning in the middle of a chunk."""
    monkeypatch.setattr(harness.pair_files, "ROWS", request.param)
    names = pa.chunked_array([[f"id-{n}" for n in range(10)], [f"id-{n}" for n in range(10, ROWS)]])
    return pa.table({"decision_id": names, "score": [n / 2 for n in range(ROWS)], "label": [None] * ROWS})


def test_columns_are_left_out_and_whole_rows_stand_at_the_ends(table: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "pairs.arrow"
    write(path, table)
    file = PairFile(path.read_bytes(), without={"decision_id", "no such column"})
    assert file.columns == 3
    assert file.table.equals(table.drop_columns(["decision_id"]))
    for lead in range(ROWS + 1):
        for last in range(lead, ROWS + 1):
            expected = pa.concat_tables([table.slice(0, lead), table.slice(last)])
            assert file.ends(lead, last).equals(expected), (lead, last)


def test_pieces_in_the_middle_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.pair_files, "ROWS", 4)
    chance = random.Random(1)  # texts that compression leaves as they are
    names = ["".join(chance.choices(string.ascii_letters, k=60)) for _ in range(40)]
    table = pa.table({"decision_id": names, "label": [1.0] * 40})
    path = tmp_path / "pairs.arrow"
    write(path, table)
    data = bytearray(path.read_bytes())
    at = data.index(names[20].encode())
    data[at : at + 60] = b"?" * 60
    assert not PairFile(data).table.equals(table)
    file = PairFile(data, without={"decision_id"})
    assert file.table.equals(table.select(["label"]))
    assert file.ends(3, 37).equals(pa.concat_tables([table.slice(0, 3), table.slice(37)]))


def test_no_rows_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "pairs.arrow"
    empty = pa.table({"decision_id": pa.array([], pa.string()), "label": pa.array([], pa.float64())})
    write(path, empty)
    file = PairFile(path.read_bytes(), without={"decision_id"})
    assert file.table.num_rows == file.ends(0, 0).num_rows == 0
    assert file.ends(0, 0).schema == empty.schema
