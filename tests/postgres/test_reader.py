import itertools
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import psycopg
import pyarrow as pa
import pytest

from harness.database import create_log
from harness.errors import DigestMismatch, NaiveTime, TimeAhead, UnknownPosition, UsageError
from harness.log import controls, reader
from harness.log import stored as history
from harness.log.connection import Connection
from harness.log.log import Log
from harness.log.places import edge_at
from harness.log.predicate import Wanted
from harness.log.queries import query
from recorders.errors import FeatureSetError, WriterForked
from recorders.fields import FeatureSet, Field
from tests.support import servers
from tests.support.batches import FEATURES, START, decisions, outcomes, stored


@pytest.fixture(scope="module")
def filled(database_url: str) -> Iterator[Log]:
    """Decisions of two points and outcomes, interleaved, over several partitions."""
    with (
        servers.fresh_database(database_url) as url,
        create_log(url=url, clock="event", partition_positions=100) as log,
    ):
        writer = uuid.uuid4()
        sequence = itertools.count(1)
        for step in range(20):
            log.append(stored(decisions(30, first=step * 30), writer, next(sequence)))
            log.append(stored(outcomes(10, first=step * 30), writer, next(sequence)))
            other = decisions(5, first=step * 5, point="fraud")
            log.append(stored(other, writer, next(sequence), point="fraud"))
        yield log


def table(batches: Iterator[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(list(batches))


def test_a_range_is_cut_exactly_and_in_order(filled: Log) -> None:
    whole = table(filled.read(1, 901, kind="decision", decision_point="flights.late"))
    assert whole.column_names[:2] == ["position", "recorded_at"]
    assert whole.num_rows == 600
    places = whole["position"].to_pylist()
    assert places == sorted(places)
    for start, stop in [(1, 2), (5, 31), (31, 41), (44, 101), (46, 76), (890, 901), (900, 901), (7, 7)]:
        part = list(filled.read(start, stop, kind="decision", decision_point="flights.late"))
        expected = [place for place in places if start <= place < stop]
        assert [place for batch in part for place in batch["position"].to_pylist()] == expected


@pytest.mark.parametrize(("rows", "size"), [(1, 10**9), (3, 10**9), (10**6, 1), (10**6, 9_000)])
def test_the_size_of_the_chunks_changes_nothing(
    filled: Log, monkeypatch: pytest.MonkeyPatch, rows: int, size: int
) -> None:
    whole = table(filled.read(37, 700, kind="decision"))
    for module in (reader, history, controls):
        monkeypatch.setattr(module, "ROWS_MAX", rows)
        monkeypatch.setattr(module, "BYTES_MAX", size, raising=False)
    assert table(filled.read(37, 700, kind="decision")).equals(whole)
    assert filled.verify().holds


def test_the_next_chunk_is_fetched_while_one_is_used(filled: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, fetched = threading.Event(), filled._connection.rows

    def rows(statement: str, **values: object) -> list[tuple[object, ...]]:
        if threading.current_thread() is not threading.main_thread():
            asked.set()
        return fetched(statement, **values)

    monkeypatch.setattr(reader, "ROWS_MAX", 1)
    monkeypatch.setattr(filled._connection, "rows", rows)
    stream = filled.read(1, filled.head().position + 1, kind="decision")
    next(stream)
    assert asked.wait(60), "the second statement runs although nobody asked for its rows yet"
    assert filled.head().position > 1, "the connection serves both threads"
    stream.close()


def test_a_short_range_takes_no_thread(filled: Log) -> None:
    before = threading.enumerate()
    stream = filled.read(1, filled.head().position + 1, kind="decision")
    next(stream)
    new = [thread.name for thread in threading.enumerate() if thread not in before]
    assert not [name for name in new if name.startswith("harness-read")]


def test_columns_are_projected_and_unknown_ones_left_out(filled: Log) -> None:
    columns = ["f.distance", "decision_id", "f.unknown"]
    found = next(filled.read(3, 20, kind="decision", columns=columns))
    assert found.schema.names == ["position", "recorded_at", "f.distance", "decision_id"]
    assert found["f.distance"].to_pylist()[0] == 2 * 1.5


def test_the_schema_says_which_feature_set_it_is(filled: Log) -> None:
    found = next(filled.read(1, 5, kind="decision"))
    assert (found.schema.metadata or {})[b"schema_digest"] == FEATURES.digest.encode()
    assert found.schema.field("recorded_at").type == pa.timestamp("us", tz="UTC")


def test_outcomes_are_read_beside_decisions(filled: Log) -> None:
    found = table(filled.read(1, 901, kind="outcome"))
    assert found.num_rows == 200
    assert found["position"].to_pylist()[:11] == [*range(31, 41), 76]


@pytest.mark.parametrize(
    ("start", "stop", "kind"), [(0, 5, "decision"), (5, 4, "decision"), (1, 5, "control")]
)
def test_a_range_that_cannot_be_is_refused(filled: Log, start: int, stop: int, kind: str) -> None:
    with pytest.raises(UsageError):
        list(filled.read(start, stop, kind=kind))


def test_a_changed_byte_is_never_read(fresh_log: Log) -> None:
    fresh_log.append(stored(decisions(5), uuid.uuid4(), 1))
    with psycopg.connect(fresh_log.url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(
            "update harness.batch set payload = set_byte(payload, 99, get_byte(payload, 99) # 4)"
        )
    with pytest.raises(DigestMismatch) as caught:
        list(fresh_log.read(1, 6, kind="decision"))
    assert (caught.value.position, caught.value.exit_code) == (1, 40)


def test_a_payload_that_was_taken_though_no_segment_has_it_is_missed(fresh_log: Log) -> None:
    fresh_log.append(stored(decisions(5), uuid.uuid4(), 1))
    with psycopg.connect(fresh_log.url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("update harness.batch set payload = ''")
    for start in (1, 3):
        with pytest.raises(DigestMismatch):
            list(fresh_log.read(start, 6, kind="decision"))


def test_a_time_means_the_last_position_recorded_by_then(filled: Log) -> None:
    ends: dict[datetime, int] = {}
    for row in filled.rows("links", start=1, stop=2000, rows=1000, bytes=2**30):
        ends[row[9]] = row[0] + row[1] - 1
    for time, end in ends.items():
        assert filled.as_of(time).position == end
        assert filled.as_of(time).time == time
        assert filled.as_of(time - timedelta(microseconds=1)).position < end
    assert filled.as_of(START - timedelta(days=1)).position == 0


def test_a_time_that_has_not_come_is_refused(filled: Log) -> None:
    """Taken for the end of the log, it would mean another place whenever it is asked (docs/adr/0075)."""
    now = filled.head().recorded_at  # the log's clock is that of its events
    assert filled.as_of(now).position == filled.head().position
    with pytest.raises(TimeAhead, match="has not come: by the log's clock it is") as caught:
        filled.as_of(now + timedelta(microseconds=1))
    assert (caught.value.now, caught.value.exit_code) == (now, 2)
    with pytest.raises(TimeAhead, match=r"The time 2098-12-31T19:00:00\+00:00 has"):
        edge_at(filled.as_of, datetime(2098, 12, 31, 19, tzinfo=UTC))


def test_a_time_has_come_by_the_clock_of_the_database_though_nothing_was_recorded_since(
    database_url: str,
) -> None:
    with servers.fresh_database(database_url) as url, create_log(url=url) as log:
        log.append(stored(decisions(3), uuid.uuid4(), 1))
        end, (now,) = log.head(), log._connection.row("select clock_timestamp()")
        assert end.recorded_at < now
        assert log.as_of(now) == log.as_of(None)
        with pytest.raises(TimeAhead):
            log.as_of(now + timedelta(days=1))


def test_a_place_is_resolved_from_each_form(filled: Log) -> None:
    head = filled.head()
    end = filled.as_of(None)
    assert (end.epoch, end.position, end.time, end.digest) == (
        1,
        head.position,
        head.recorded_at,
        head.digest,
    )
    assert filled.as_of(head.position) == filled.as_of(str(head.position)) == end
    inside, last = filled.as_of(5), filled.as_of(30)
    assert (inside.time, inside.digest) == (last.time, last.digest)
    start = filled.as_of(0)
    assert (start.position, start.time) == (0, datetime(1970, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("position", "whole"), [(1, False), (29, False), (30, True), (31, False), (40, True), (900, True)]
)
def test_a_place_and_a_later_one_are_found_together(filled: Log, position: int, whole: bool) -> None:
    found = filled.since(position)
    assert found == (filled.as_of(position), filled.as_of(None), whole)
    assert filled.since(position, 30) == (found.then, filled.as_of(30), whole)


def test_a_place_that_the_log_has_not_got_to_is_none(filled: Log) -> None:
    for position in (901, 2**63, 0):
        assert filled.since(position) == (None, filled.as_of(None), False)
    with pytest.raises(UnknownPosition):
        filled.since(30, 901)


def test_a_range_that_begins_with_a_batch_asks_for_none_before_it(
    filled: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, rows = [], Connection.rows
    monkeypatch.setattr(
        Connection,
        "rows",
        lambda self, statement, **values: asked.append(statement) or rows(self, statement, **values),
    )
    wanted = Wanted("decision", "flights.late", recent=True)
    with Log(filled.url) as log:
        for begins, looks in ((False, 1), (True, 0)):
            asked.clear()
            found = table(log.scan(46, 300, msgspec.structs.replace(wanted, begins=begins), closed=True))
            assert (asked.count(query("start_of_point")), found.num_rows) == (looks, 179)


def test_a_place_that_is_none_is_refused(filled: Log) -> None:
    with pytest.raises(UnknownPosition, match="Position 901 does not exist: the log ends at 900"):
        filled.as_of(901)
    with pytest.raises(UnknownPosition):
        filled.as_of(-1)
    with pytest.raises(UnknownPosition, match=f"Position {2**63} does not exist: the log ends at 900"):
        filled.as_of(str(2**63))  # more than the database can compare
    with pytest.raises(NaiveTime):
        filled.as_of("2013-05-01")
    with pytest.raises(NaiveTime):
        filled.as_of(datetime(2013, 5, 1))  # noqa: DTZ001 - the refused case
    with pytest.raises(UsageError, match='"yesterday" is no place'):
        filled.as_of("yesterday")


def test_control_events_are_heard_in_order_and_up_to_a_place(fresh_log: Log) -> None:
    said = [
        fresh_log.control(f"look.{word}", "e", {"n": n})
        for n, word in enumerate(["taken", "missed", "taken"])
    ]
    fresh_log.control("verdict.reached", "f", {}, actor="ada")
    assert [event.body["n"] for event in fresh_log.controls("look.*")] == [0, 1, 2]
    assert [event.position for event in fresh_log.controls("look.taken")] == [1, 3]
    assert fresh_log.controls("look.*", up_to=2) == said[:2]
    assert [event.actor for event in fresh_log.controls(subject="f")] == ["ada"]
    fresh_log.control("look.taken", "e", {"n": 9})
    assert fresh_log.controls("look.taken")[-1].body == {"n": 9}
    fresh_log.controls("look.taken")[-1].body["n"] = "changed by a caller"
    assert fresh_log.controls("look.taken")[-1].body == {"n": 9}


def test_what_was_heard_is_not_asked_for_again_and_said_again_it_is_there_once(fresh_log: Log) -> None:
    fresh_log.control("look.missed", "e", {})
    assert len(fresh_log.heard("look.missed", "e")) == 1
    with Log(fresh_log.url) as other:
        first = other.say("look.taken", "e", {"n": 1}, key="one")
        assert fresh_log.heard("look.taken", "e") == []
        assert fresh_log.say("look.taken", "e", {"n": 1}, key="one").position == first.position
        assert [event.position for event in fresh_log.controls("look.taken")] == [first.position]
        assert fresh_log.heard("look.taken", "e") == other.heard("look.taken", "e") != []
        with pytest.raises(WriterForked):
            fresh_log.say("look.taken", "e", {"n": 2}, key="one")
        last = other.say("look.taken", "f", {}, key="two")
        assert fresh_log.heard("look.taken", "f", at_least=first.position) == []
        assert len(fresh_log.heard("look.taken", "f", at_least=last.position)) == 1


def test_control_events_are_readable_in_sql(fresh_log: Log) -> None:
    fresh_log.append(stored(decisions(3), uuid.uuid4(), 1))
    event = fresh_log.control("look.taken", "e", {"n": 1}, actor="ada")
    with psycopg.connect(fresh_log.url) as connection:
        rows = connection.execute("select * from harness.control where body ->> 'n' = '1'").fetchall()
    assert rows == [(4, event.recorded_at, "look.taken", "e", "ada", {"n": 1})]


def test_a_key_makes_an_event_happen_once(fresh_log: Log) -> None:
    first = fresh_log.control("look.taken", "e", {"n": 1}, key="look:e:1")
    assert fresh_log.control("look.taken", "e", {"n": 1}, key="look:e:1") == first
    with pytest.raises(WriterForked):
        fresh_log.control("look.taken", "e", {"n": 2}, key="look:e:1")
    assert fresh_log.head().position == 1


def test_a_feature_set_is_registered_once_and_never_changed(fresh_log: Log) -> None:
    event = fresh_log.register_feature_set(FEATURES)
    assert fresh_log.register_feature_set(FEATURES) == event
    assert fresh_log.feature_sets() == {FEATURES.digest: FEATURES}
    with pytest.raises(FeatureSetError, match=r"Declare the new schema as flights:2\."):
        fresh_log.register_feature_set(FeatureSet("flights", 1, (Field("other", "bool"),)))
