import hashlib
import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from msgspec.structs import replace

from harness.database import create_log
from harness.log.controls import control_batch
from harness.log.log import Log
from recorders.append import Appender, Batch
from recorders.errors import (
    CorruptBatch,
    EventAhead,
    LinkUnavailable,
    Rewound,
    SequenceGap,
    WriterForked,
    WrongLog,
)
from tests.support import servers
from tests.support.batches import START, raw


@pytest.fixture
def writer() -> uuid.UUID:
    return uuid.uuid4()


def test_positions_follow_each_other_over_batches_and_writers(fresh_log: Log, writer: uuid.UUID) -> None:
    other = uuid.uuid4()
    given = [raw(writer, 1, events=3), raw(other, 1, events=2), raw(writer, 2, events=5)]
    assert [fresh_log.append(batch).position for batch in given] == [1, 4, 6]
    assert fresh_log.head().position == 10
    assert fresh_log.writer_high_water(writer) == 2
    assert fresh_log.writer_high_water(uuid.uuid4()) == 0


@pytest.mark.parametrize("sequence", [1, 2, 3])
def test_any_sequence_again_with_the_same_bytes_answers_the_same(
    fresh_log: Log, writer: uuid.UUID, sequence: int
) -> None:
    first = {n: fresh_log.append(raw(writer, n, events=4)) for n in (1, 2, 3)}
    again = fresh_log.append(raw(writer, sequence, events=4))
    assert again.duplicate
    assert replace(again, duplicate=False) == first[sequence]
    assert fresh_log.head().position == 12


@pytest.mark.parametrize("sequence", [1, 2, 3])
def test_any_sequence_again_with_other_bytes_is_a_fork(
    fresh_log: Log, writer: uuid.UUID, sequence: int
) -> None:
    for n in (1, 2, 3):
        fresh_log.append(raw(writer, n))
    before = fresh_log.head()
    with pytest.raises(WriterForked) as caught:
        fresh_log.append(raw(writer, sequence, seed=1))
    assert (caught.value.writer, caught.value.sequence) == (writer, sequence)
    assert caught.value.sent == raw(writer, sequence, seed=1).digest
    assert caught.value.stored == raw(writer, sequence).digest
    assert fresh_log.head() == before


def test_the_same_payload_under_another_header_is_a_fork(fresh_log: Log, writer: uuid.UUID) -> None:
    batch = raw(writer, 1, events=2)
    fresh_log.append(batch)
    later = START + timedelta(microseconds=1)
    others = {
        "events": 3,
        "decision_point": "x",
        "schema_digest": "00" * 32,
        "occurred_max": later,
        "kind": "outcome",
    }
    for name, value in others.items():
        with pytest.raises(WriterForked):
            fresh_log.append(replace(batch, **{name: value}))


def test_a_skipped_batch_is_a_gap_and_a_restored_log_is_rewound(fresh_log: Log, writer: uuid.UUID) -> None:
    fresh_log.append(raw(writer, 1))
    with pytest.raises(SequenceGap) as gap:
        fresh_log.append(raw(writer, 3))
    assert (gap.value.have, gap.value.got) == (1, 3)
    with pytest.raises(Rewound) as rewound:
        fresh_log.append(raw(writer, 9, acked=8))
    assert (rewound.value.have, rewound.value.acked) == (1, 8)
    # What a rewound writer does next, it re-ships, is taken.
    assert fresh_log.append(raw(writer, 2, acked=8)).position == 2


def test_a_writer_that_never_wrote_must_begin_with_one(fresh_log: Log, writer: uuid.UUID) -> None:
    with pytest.raises(SequenceGap):
        fresh_log.append(raw(writer, 2))


def test_another_log_than_agreed_is_refused(fresh_log: Log, writer: uuid.UUID) -> None:
    agreed = uuid.uuid4()
    appender = Appender(fresh_log.url, log_id=agreed)
    with pytest.raises(WrongLog) as caught:
        appender.append(raw(writer, 1))
    appender.close()
    assert caught.value.found == str(fresh_log.head().log_id)
    assert fresh_log.head().position == 0


def as_control(payload: bytes) -> dict[str, object]:
    digest = hashlib.sha256(payload).hexdigest()
    empty = {"occurred_min": None, "occurred_max": None, "events": 1}
    return {"kind": "control", "payload": payload, "digest": digest, **empty}


CORRUPT = [
    ({"payload": b"another"}, "payload is not what its digest names"),
    ({"events": 0}, "has 0 events"),
    ({"events": 1_000_001}, "has 1000001 events"),
    ({"payload": b"", "digest": hashlib.sha256(b"").hexdigest()}, "payload has 0 bytes"),
    ({"kind": "model"}, "kind is 'model'"),
    ({"schema_digest": "00"}, "schema digest is not 32 bytes"),
    ({"decision_point": "é" * 101}, "over 200 bytes"),
    ({"sequence": 0}, "sequence is 0"),
    ({"occurred_min": START + timedelta(seconds=1)}, "times are not a range"),
    ({"occurred_max": None}, "times are not a range"),
    (as_control(b'{"type":"x","subject":"y"}') | {"events": 2}, "exactly one event"),
    (as_control(b'{"type":1,"subject":"y"}'), "needs a type and a subject"),
    (as_control(b"[]"), "needs a type and a subject"),
    (as_control(b"no json"), "is one JSON object"),
    (as_control(b'{"type":"x","subject":"\\u0000"}'), "is one JSON object"),
    (as_control(b"\xff"), "is one JSON object"),
    ({"digest": "xyz"}, "a digest is not hexadecimal"),
]


@pytest.mark.parametrize(("change", "reason"), CORRUPT)
def test_a_corrupt_batch_is_refused_with_its_reason(
    log_url: str, change: dict[str, object], reason: str
) -> None:
    batch = replace(raw(uuid.uuid4(), 1), **change)
    appender = Appender(log_url)
    with psycopg.connect(log_url) as connection:
        before = connection.execute("select count(*) from harness.batch").fetchone()
    with pytest.raises(CorruptBatch, match=reason):
        appender.append(batch)
    appender.close()
    with psycopg.connect(log_url) as connection:
        assert connection.execute("select count(*) from harness.batch").fetchone() == before


def test_a_payload_over_the_limit_is_refused(log_url: str) -> None:
    payload = bytes(64 * 2**20 + 1)
    batch = replace(raw(uuid.uuid4(), 1), payload=payload, digest=hashlib.sha256(payload).hexdigest())
    appender = Appender(log_url)
    with pytest.raises(CorruptBatch, match="67108865 bytes"):
        appender.append(batch)
    appender.close()


def test_the_event_clock_is_the_latest_event_so_far(event_log: Log, writer: uuid.UUID) -> None:
    assert event_log.head().recorded_at == datetime(1970, 1, 1, tzinfo=UTC)
    days = [START + timedelta(days=day) for day in (5, 3, 9)]
    for sequence, day in enumerate(days, start=1):
        event_log.append(raw(writer, sequence, at=day))
    event_log.append(control_batch("a.b", "s", {}, None, None))
    times = [event_log.as_of(position).time for position in (1, 2, 3, 4)]
    assert times == [days[0], days[0], days[2], days[2]]


def test_the_server_clock_never_goes_back(fresh_log: Log, writer: uuid.UUID) -> None:
    future = datetime(2099, 1, 1, tzinfo=UTC)
    with psycopg.connect(fresh_log.url) as connection:
        connection.execute("update harness.head set recorded_at = %s", [future])
    fresh_log.append(raw(writer, 1))
    assert fresh_log.head().recorded_at == future


def test_an_event_of_a_day_to_come_moves_no_clock(fresh_log: Log, event_log: Log, writer: uuid.UUID) -> None:
    before = event_log.head()
    far = raw(writer, 1, at=datetime(9999, 12, 31, tzinfo=UTC))
    with pytest.raises(EventAhead, match=r"occurred at 9999-12-31T00:00:00Z; .* a day ahead") as caught:
        event_log.append(far)
    assert caught.value.occurred == "9999-12-31T00:00:00Z"
    assert event_log.head() == before
    # Clocks of services differ: what is a little ahead is taken.
    event_log.append(raw(writer, 1, at=datetime.now(UTC) + timedelta(hours=23)))
    assert event_log.head().position == 1
    # The server's clock does not listen to events.
    fresh_log.append(far)
    assert fresh_log.head().recorded_at < datetime.now(UTC) + timedelta(days=1)


def test_partitions_are_ready_before_they_are_needed(database_url: str, writer: uuid.UUID) -> None:
    with servers.fresh_database(database_url) as url, create_log(url=url, partition_positions=10) as log:
        for sequence in range(1, 13):
            log.append(raw(writer, sequence, events=4))
        log.append(raw(writer, 13, events=55))
        with psycopg.connect(url) as connection:
            (stop,) = connection.execute("select partition_stop from harness.head").fetchone() or (0,)
            rows = connection.execute(
                "select c.relname, a.attstorage, c.relacl::text, pg_get_userbyid(c.relowner)"
                " from pg_partition_tree('harness.batch') t join pg_class c on c.oid = t.relid"
                " join pg_attribute a on a.attrelid = c.oid and a.attname = 'payload'"
                " where t.isleaf order by 1"
            ).fetchall()
        assert log.head().position == 103
        assert stop - 103 > 10
        assert len(rows) == (stop - 1) // 10
        # Out of line and uncompressed, the owner's own, granted to nobody: reading goes through the parent.
        assert {(storage, acl, owner) for _, storage, acl, owner in rows} in (
            {("e", None, "harness_owner")},
            {(b"e", None, "harness_owner")},
        )
        assert log.verify().holds


def test_a_server_that_is_gone_can_be_tried_again(log_url: str, writer: uuid.UUID) -> None:
    appender = Appender(log_url)
    appender.append(raw(writer, 1))
    with psycopg.connect(log_url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'harness-append'"
        )
    with pytest.raises(LinkUnavailable):
        appender.append(raw(writer, 2))
    assert appender.append(raw(writer, 2)).position == 2
    appender.close()


APPEND = (
    "select harness.append(null, 'decision', 'p', sha256('x'), %s, 1, 0, 1, now(), now(), sha256('p'), 'p')"
)


def test_two_appends_in_one_transaction_cannot_wait_for_each_other(fresh_log: Log) -> None:
    """The head is locked first, so that the second transaction stands still before it holds anything."""
    one, two = uuid.uuid4(), uuid.uuid4()
    with psycopg.connect(fresh_log.url) as first, psycopg.connect(fresh_log.url) as second:
        first.execute(APPEND, [one])
        second.execute("set lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            second.execute(APPEND, [two])
        second.rollback()
        first.execute(APPEND, [two])
        first.commit()
    assert fresh_log.head().position == 2


def test_a_batch_that_is_not_committed_leaves_no_trace(fresh_log: Log, writer: uuid.UUID) -> None:
    batch: Batch = raw(writer, 1)
    with psycopg.connect(fresh_log.url) as connection:
        connection.execute(APPEND, [writer])
        connection.rollback()
    assert fresh_log.append(batch).position == 1
