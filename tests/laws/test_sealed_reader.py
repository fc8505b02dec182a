"""Sealed and hot give equal columns: bit for bit, for every range, projection and condition."""

import hashlib
import math
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.database import create_log
from harness.errors import UsageError
from harness.log import part_reader, part_writer, reader
from harness.log.log import Log
from harness.log.predicate import Wanted, terms
from harness.log.seal import seal
from recorders.append import Batch
from recorders.columns import encode_batch, occurred_range
from tests.support import servers
from tests.support.columns import AT, ODD, ODDER, bits, odd_decisions

BATCHES, ROWS = 24, 12
COLUMNS = odd_decisions(1, 0, ODDER).schema.names


class Unsealed:
    """What a log says of segments before there are any."""

    def stop(self) -> int:
        return 1


@pytest.fixture(scope="module")
def log(database_url: str, migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    """Two decision points and two feature sets, interleaved; sealed in segments of several row groups."""
    with (
        servers.fresh_database(database_url, migrated) as url,
        create_log(tmp_path_factory.mktemp("sealed"), url=url) as log,
        pytest.MonkeyPatch.context() as patch,
    ):
        writer = uuid.uuid4()
        for number in range(BATCHES):
            feature_set = ODDER if number % 3 == 1 else ODD
            rows = odd_decisions(1 + number % ROWS, number, feature_set)
            payload = encode_batch(rows)
            log.append(
                Batch(
                    "decision",
                    "odd/" if number % 4 else "..",
                    feature_set.digest,
                    writer,
                    number + 1,
                    rows.num_rows,
                    *occurred_range(rows),
                    payload,
                    hashlib.sha256(payload).hexdigest(),
                )
            )
        patch.setattr(part_writer, "ROWS_PER_GROUP", 5)
        assert len(seal(log, events=40)) > 2
        yield log


def hot(log: Log, start: int, stop: int, wanted: Wanted) -> list[pa.RecordBatch]:
    return [
        batch for batch in reader.read(log._connection, Unsealed(), start, stop, wanted) if batch.num_rows
    ]


def rows_of(batches: list[pa.RecordBatch]) -> list[Any]:
    """Return every row with the names, types and marks of its columns."""
    return [
        (batch.schema.to_string(show_schema_metadata=True), row)
        for batch in batches
        for row in zip(*bits(pa.Table.from_batches([batch])), strict=True)
    ]


VALUES = {
    "score": st.sampled_from([0.0, -0.0, 1.5, math.inf, math.nan]),
    "f.number": st.sampled_from([0.0, -0.0, 1.5, -1e308, math.nan]),
    "f.number.list": st.sampled_from([0.0, 3.0]),
    "f.count": st.sampled_from([0, 1, 2**63 - 1]),
    "f.text": st.sampled_from(["", "é", "x"]),
    "f.seen.at": st.sampled_from([AT, datetime(1, 1, 1, tzinfo=UTC)]),
    "occurred_at": st.integers(0, 10**6).map(lambda seconds: AT + timedelta(seconds=seconds)),
    "position": st.integers(0, 200),
    "f.absent": st.just(1.0),
}


@st.composite
def conditions(draw: st.DrawFn) -> tuple[str, str, Any]:
    column = draw(st.sampled_from(sorted(VALUES)))
    comparison = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"]))
    listed = comparison in {"in", "not in"}
    return column, comparison, draw(st.lists(VALUES[column], max_size=3) if listed else VALUES[column])


@given(
    start=st.integers(1, 170),
    length=st.integers(0, 170),
    point=st.sampled_from([None, "odd/", ".."]),
    columns=st.none() | st.lists(st.sampled_from([*COLUMNS, "f.absent"]), max_size=4),
    where=st.lists(conditions(), max_size=2),
    short=st.sampled_from([0, 60, 2**16]),
    numbered=st.booleans(),
)
def test_sealed_and_hot_give_equal_columns(
    log: Log,
    start: int,
    length: int,
    point: str | None,
    columns: list[str] | None,
    where: list[Any],
    short: int,
    numbered: bool,
) -> None:
    wanted = Wanted("decision", point, None if columns is None else tuple(columns), terms(where))
    stop = start + length
    expected = rows_of(hot(log, start, stop, wanted))
    with pytest.MonkeyPatch.context() as patch:
        if numbered:  # all texts by the numbers of their dictionaries, which those of few values are
            patch.setattr(part_reader, "TEXT_BYTES", math.inf)
        found = log.read(start, stop, kind="decision", decision_point=point, columns=columns, where=where)
        assert rows_of(list(found)) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "SHORT", short)
        recent = log.scan(start, stop, msgspec.structs.replace(wanted, recent=True))
        assert rows_of([batch for batch in recent if batch.num_rows]) == expected


@pytest.mark.parametrize(
    "condition",
    [("score", "~", 1), ("score", ">"), "score > 1", ("score", ">", "high"), ("f.text", "in", [1])],
)
def test_a_condition_that_cannot_be_is_refused_on_both_sides(log: Log, condition: Any) -> None:
    with pytest.raises(UsageError):
        list(log.read(1, 50, kind="decision", where=[condition]))
    with pytest.raises(UsageError):
        hot(log, 1, 50, Wanted("decision", None, None, terms([condition])))
