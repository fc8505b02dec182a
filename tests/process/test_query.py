"""SQL over the log: one state of it, the same rows sealed or not, and nothing else is read or reached."""

import hashlib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from harness.erasure import erase
from harness.errors import RangeUnusable, UnknownPosition, UsageError
from harness.log import part_writer
from harness.log.log import Log
from harness.log.release import release
from harness.log.seal import seal
from harness.segment_errors import SegmentAltered
from harness.sql.errors import QueryRefused, QueryTooLarge
from recorders.append import Batch
from recorders.columns import decision_schema, encode_batch, occurred_range
from recorders.fields import FeatureSet, Field
from recorders.inprocess import InProcessLink
from recorders.recorder import Recorder
from recorders.subject_keys import SubjectKeys
from tests.support.batches import FEATURES, decisions, stored
from tests.support.columns import ODD, ODDER, bits, odd_decisions
from tests.support.filled import fill, small_log
from tests.support.subjects import SECRET, SHOP, snapshot

START = datetime(2013, 1, 1, tzinfo=UTC)


@pytest.fixture
def log(database_url: str, migrated: str, tmp_path: Path) -> Iterator[Log]:
    with small_log(database_url, migrated, tmp_path / "segments") as log:
        yield log


def append(log: Log, rows: pa.RecordBatch, digest: str, *, point: str = "odd/") -> None:
    payload = encode_batch(rows)
    span = (rows.num_rows, *occurred_range(rows))
    name = hashlib.sha256(payload).hexdigest()
    log.append(Batch("decision", point, digest, uuid.uuid4(), 1, *span, payload, name))


def rows(log: Log, text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = log.sql(text).to_arrow().to_pylist()
    return found


ODD_QUERIES = [
    "from decisions order by position",
    'select position from decisions where "f.number" > 0 order by 1',
    "select position from decisions where \"f.number\" = 'nan'::double or score <= -1 order by 1",
    'select position from decisions where "f.number" != 1.5 order by 1',
    'select position, "f.text" from decisions where "f.text" is null or "f.text" > \'b\' order by 1',
    'select position from decisions where "f.count" in (-1, 9223372036854775807) order by 1',
    'select position from decisions where "f.flag" and "f.raw" = \'\'::blob order by 1',
    "select position from decisions where \"f.seen.at\" < timestamptz '0001-01-02 00:00:00+00' order by 1",
    'select position from decisions where "f.number.list" is null order by 1',
    "select position from decisions where len(statuses) > 0 and position between 30 and 80 order by 1",
    "select position from decisions where decision_point = '..' and feature_set = 'odd:2' order by 1",
    'select count(*), "f.kind", max(latency_us) from decisions group by 2 order by 2',
    'select d.position from decisions d join decisions e using (unit) where e."f.count" = 1 order by all',
]


def test_sealed_compacted_released_or_hot_a_query_has_the_same_answer(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values that are hard to keep, in row groups of five rows; every cell to the bit."""
    monkeypatch.setattr(part_writer, "ROWS_PER_GROUP", 5)
    for number in range(20):
        features = ODDER if number % 3 == 1 else ODD
        append(
            log, odd_decisions(12, number, features), features.digest, point="odd/" if number % 4 else ".."
        )
    stop = log.head().position + 1

    def answers() -> list[Any]:
        tables = [log.sql(text, stop=stop).to_arrow() for text in ODD_QUERIES]
        return [(table.schema.to_string(), bits(table)) for table in tables]

    hot = answers()
    assert all(table[1][0] for table in hot), "each query has an answer"
    assert seal(log, stop=131, events=40)
    assert answers() == hot
    seal(log, events=40)
    assert answers() == hot
    assert release(log, timedelta(0))
    assert answers() == hot


def test_a_query_over_one_day_of_a_year_reads_one_day(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_writer, "ROWS_PER_GROUP", 4)
    writer = uuid.uuid4()
    for day in range(365):
        batch = decisions(4, first=day * 1440)  # numbered by the minute: a day is 1,440
        log.append(stored(batch, writer, day + 1))
    seal(log, stop=1201, events=120)  # 300 days in ten segments, the rest is hot
    day = "timestamptz '2013-04-02 00:00:00+00'"  # the 61st, in the third segment
    condition = f"{{}} >= {day} and {{}} < {day} + interval 1 day"
    for column in ("recorded_at", "occurred_at"):
        where = condition.format(column, column)
        with log.sql(f"select count(*), min(position), max(position) from decisions where {where}") as answer:
            (found,) = [list(row.values()) for batch in answer for row in batch.to_pylist()]
            scanned = answer.scanned["decisions"]
        assert found == [4, 241, 244]
        assert (scanned.groups_read, scanned.rows) == (1, 4)
        if column == "recorded_at":
            assert (scanned.segments, scanned.segments_read) == (10, 1)
            assert (scanned.groups_pruned, scanned.batches, scanned.batches_read) == (29, 65, 0)
        else:  # segments are told by their statistics, what is not sealed by its rows
            assert (scanned.segments_read, scanned.groups_pruned) == (10, 299)
    with log.sql("select count(*) from decisions where position = 1204") as answer:
        assert [batch.column(0).to_pylist() for batch in answer] == [[1]]
        assert (answer.scanned["decisions"].segments_read, answer.scanned["decisions"].rows) == (0, 1)
    with log.sql("select 1 from decisions where decision_point = 'nobody'") as answer:
        assert list(answer) == []
        assert answer.scanned["decisions"].segments_read + answer.scanned["decisions"].batches_read == 0


def test_a_query_sees_one_head(log: Log) -> None:
    fill(log, 3)
    with log.sql("select count(*) from decisions a, (select max(position) p from control) b") as answer:
        fill(log, 1)
        seal(log)
        assert [batch.column(0).to_pylist() for batch in answer] == [[105]]
        assert answer.span == (1, 139)
    assert rows(log, "select count(*) n from decisions")[0]["n"] == 140
    assert log.sql("select max(position) from decisions", start=3, stop=40).to_arrow()[0].to_pylist() == [30]
    for start, stop, error in [(0, 5, RangeUnusable), (5, 4, RangeUnusable), (1, 500, UnknownPosition)]:
        with pytest.raises(error):
            log.sql("select 1", start=start, stop=stop)


def test_outcomes_scores_and_control_are_relations(log: Log) -> None:
    fill(log, 2)
    joined = "select count(*) n from decisions join outcomes o using (decision_id) where o.value = 1"
    for _ in range(2):
        assert rows(log, joined) == [{"n": 10}]
        assert rows(log, "select count(*) n, any_value(label) l from outcomes") == [{"n": 20, "l": "late"}]
        assert rows(log, "from scores") == []
        control = "select body->>'$.n' n, type, actor from control where type like 'look.%' order by position"
        assert [list(row.values()) for row in rows(log, control)] == [
            ["0", "look.taken", "harness"],
            ["1", "look.taken", "harness"],
        ]
        seal(log)


def test_a_feature_of_two_types_is_two_columns(log: Log) -> None:
    for number, type_ in enumerate(("int64", "string")):
        features = FeatureSet("a", number + 1, (Field("amount", type_), Field("Amount", "float64")))
        schema = decision_schema(features)
        value = {"int64": 7, "string": "x"}[type_]
        row = dict.fromkeys(schema.names) | {"f.amount": value, "f.Amount": 0.5}
        row |= {
            "decision_id": "d",
            "occurred_at": START,
            "model": "m",
            "model_version": "1",
            "inclusion": 1.0,
        }
        append(log, pa.RecordBatch.from_pylist([row], schema=schema), features.digest)
    text = 'select "f.amount:int64" i, "f.amount:string" s, "f.Amount" f from decisions order by position'
    found = [{"i": 7, "s": None, "f": 0.5}, {"i": None, "s": "x", "f": 0.5}]
    for _ in range(2):
        assert rows(log, text) == found
        assert rows(log, text.replace(" order", ' where "f.amount:int64" < 9 order')) == found[:1]
        seal(log)


REFUSED = {
    "select nope from decisions": 'column "nope" not found',
    "select * from decision": 'Did you mean "decisions"',
    "selec": "syntax error",
    "": "it is nothing",
    "select 1; select 2": "it is SELECT and SELECT",
    "create table t (a int)": "it is CREATE",
    "insert into control values (1)": "it is INSERT",
    "copy decisions to '/tmp/stolen.csv'": "it is COPY",
    "attach '/tmp/other.db'": "it is ATTACH",
    "install httpfs": "it is LOAD",
    "set memory_limit = '90GB'": "it is SET",
    "pragma database_list": "it is PRAGMA",
    "call pragma_version()": "it is CALL",
    "explain analyze copy control to '/tmp/stolen.csv'": "disabled by configuration",
    "select * from read_text('/etc/passwd')": "disabled by configuration",
    "select * from read_parquet('s3://bucket/x')": "disabled by configuration",
    "select * from glob('/*')": "disabled by configuration",
    "select * from '/etc/passwd'": "does not exist",
    "select * from log": "does not exist",
    "select * from postgres_scan('', '', '')": "does not exist",
    "select decision_id::int from decisions": "Could not convert",
    "select error('said so') from decisions": "said so",
}


@pytest.mark.parametrize("text", REFUSED)
def test_sql_that_cannot_be_run_is_refused_and_told_what_there_is(text: str, small: Log) -> None:
    with pytest.raises(QueryRefused) as caught:
        small.sql(text).to_arrow()
    assert REFUSED[text] in caught.value.reason
    assert "decision_id, occurred_at" in str(caught.value)
    assert '"f.distance"' in caught.value.known
    assert caught.value.exit_code == 2
    assert not Path("/tmp/stolen.csv").exists()


def test_a_refusal_is_short(small: Log) -> None:
    with pytest.raises(QueryRefused) as caught:
        small.sql("x" * 100_000)
    assert len(str(caught.value)) < 2_000


@pytest.fixture(scope="module")
def small(database_url: str, migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    with small_log(database_url, migrated, tmp_path_factory.mktemp("small")) as log:
        fill(log, 1)
        yield log


def test_memory_is_bounded_by_what_is_allowed(
    small: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(QueryTooLarge) as caught:
        small.sql("select list(range) from range(5000000)", memory="16MB").to_arrow()
    assert (caught.value.memory, caught.value.exit_code) == ("16MB", 1)
    spilled = "select count(*) n from (select range r from range(3000000) order by hash(range) limit 2999999)"
    assert small.sql(spilled, memory="24MB").to_arrow().to_pylist() == [{"n": 2999999}]
    assert list(tmp_path.iterdir()) == []
    for memory in ("0GB", "lots", "1", "-1GB"):
        with pytest.raises(UsageError, match="is no amount of memory"):
            small.sql("select 1", memory=memory)


def test_an_altered_segment_ends_a_query_as_what_it_is(log: Log) -> None:
    log.register_feature_set(FEATURES)
    fill(log, 2)
    (segment,) = seal(log)
    path = Path(log.sealed.store.url(next(one.path for one in segment.parts if one.kind == "decision")))
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(SegmentAltered) as caught:
        log.sql("from decisions").to_arrow()
    assert caught.value.exit_code == 40
    assert rows(log, "select count(*) n from control")[0]["n"] == 4


def test_what_was_erased_is_null_and_says_so(fresh_log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_SUBJECT_SECRET", SECRET)
    monkeypatch.delenv("HARNESS_KEYS_URL", raising=False)
    keys = SubjectKeys.from_environment(fresh_log.url)
    keys.create()
    fresh_log.register_feature_set(SHOP)
    with Recorder(
        "shop", SHOP, InProcessLink(fresh_log.url, [SHOP]), model="m", model_version="1"
    ) as recorder:
        for number, customer in enumerate(("ada", "bob", None)):
            recorder.record(snapshot(customer, number))
        assert recorder.flush(30)
    columns = '"f.customer" c, "f.income" i, "f.amount" a, statuses s'
    text = f"select {columns} from decisions where {{}} order by position"
    assert [row["c"] for row in rows(fresh_log, text.format('"f.income" < 1001'))] == ["ada"]
    erase(fresh_log, keys, "ada")
    before, after = rows(fresh_log, text.format("true")), rows(fresh_log, text.format('"f.income" is null'))
    assert [row["c"] for row in before] == [None, "bob", None]
    assert [row["i"] for row in after] == [None]
    assert {one["status"] for one in after[0]["s"]} == {"erased"}
    assert after[0]["a"] is not None
    with fresh_log.sql("from decisions") as answer:
        assert "sealed" not in answer.schema.names
