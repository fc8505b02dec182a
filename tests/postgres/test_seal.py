import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from msgspec.structs import replace

from harness.database import create_log
from harness.errors import DigestMismatch, RangeUnusable, UnknownPosition
from harness.log import reader
from harness.log.compact import compact
from harness.log.controls import control_batch
from harness.log.lines import last
from harness.log.log import Log
from harness.log.predicate import Wanted
from harness.log.release import partitions, release
from harness.log.seal import seal, sealing
from harness.log.segments import RELEASED, SEALED
from harness.segment_errors import ChainBroken, ListingBroken, ReleaseRefused, SealBusy, SegmentAltered
from recorders.errors import WriterForked
from tests.support.batches import decisions, stored
from tests.support.filled import READS, fill, small_log, table


@pytest.fixture
def log(database_url: str, migrated: str, tmp_path: Path) -> Iterator[Log]:
    with small_log(database_url, migrated, tmp_path) as log:
        yield log


@pytest.mark.parametrize("events", [1, 46, 100, 10**6])
def test_what_is_sealed_is_read_as_it_was(log: Log, events: int) -> None:
    fill(log)
    end = log.head().position + 1
    hot = {read: table(log.read(1, end, kind=read[0], decision_point=read[1])) for read in READS}
    made = seal(log, events=events)
    assert [segment.first for segment in made] == [1, *(segment.stop for segment in made[:-1])]
    assert (made[-1].stop, sum(segment.events for segment in made)) == (end, end - 1)
    for read, before in hot.items():
        after = table(log.read(1, end, kind=read[0], decision_point=read[1]))
        assert after.equals(before)
        assert after.schema.equals(before.schema, check_metadata=True)


def test_a_range_over_the_edge_of_what_is_sealed_is_one_range(log: Log) -> None:
    fill(log)
    whole = table(log.read(1, 300, kind="decision"))
    seal(log, stop=131)
    fill(log, steps=1)
    assert log.sealed.stop() == 123  # the batch that holds 131 waits whole
    assert table(log.read(1, 300, kind="decision")).slice(0, whole.num_rows).equals(whole)
    for start, stop in [(1, 2), (40, 140), (122, 124), (123, 140), (100, 123), (17, 17)]:
        part = table(log.read(start, stop, kind="decision")) if stop > start else None
        places = [] if part is None else part.column("position").to_pylist()
        assert places == [p for p in whole.column("position").to_pylist() if start <= p < stop]


def test_a_seal_of_nothing_new_says_so(log: Log) -> None:
    assert seal(log) == []
    fill(log)
    assert len(seal(log)) == 1
    head = log.head().position
    assert seal(log) == []
    assert log.head().position == head
    fill(log, steps=1)
    (made,) = seal(log)
    assert (made.first, made.number) == (head, 2)


def test_what_lies_ahead_cannot_be_sealed(log: Log) -> None:
    fill(log, steps=1)
    with pytest.raises(UnknownPosition, match="Position 47 does not exist"):
        seal(log, stop=48)
    with pytest.raises(RangeUnusable):
        seal(log, stop=0)
    assert log.sealed.stop() == 1


def test_two_sealers_take_turns(log: Log) -> None:
    fill(log, steps=1)
    with sealing(log), pytest.raises(SealBusy):
        seal(log)
    assert len(seal(log)) == 1


def test_a_log_that_was_altered_is_not_sealed(log: Log) -> None:
    fill(log)
    with psycopg.connect(log.url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("update harness.batch set writer = gen_random_uuid() where position = 93")
    with pytest.raises(ChainBroken) as caught:
        seal(log)
    assert (caught.value.position, caught.value.exit_code) == (93, 40)
    with psycopg.connect(log.url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("delete from harness.batch where position = 77")
    with pytest.raises(ChainBroken, match="missing"):
        seal(log)
    assert log.sealed.stop() == 1


def test_a_payload_that_was_altered_is_not_sealed(log: Log) -> None:
    fill(log, steps=1)
    with psycopg.connect(log.url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(
            "update harness.batch set payload = set_byte(payload, 99, get_byte(payload, 99) # 4)"
            " where position = 1"
        )
    with pytest.raises(DigestMismatch):
        seal(log)
    assert log.sealed.stop() == 1


@pytest.mark.parametrize(
    "other",
    [
        {},  # twice sealed
        {"first": 100, "stop": 177},
        {"first": 132, "stop": 177},
        {"first": 131, "stop": 177},  # after it, and of another history
        {"replaces": [7]},
        {"replaces": [1], "chain": "00" * 32},
    ],
    ids=str,
)
def test_a_registration_that_does_not_follow_is_an_integrity_failure(log: Log, other: dict[str, Any]) -> None:
    fill(log)
    seal(log, stop=131)
    (segment,) = log.sealed.segments()
    batch = control_batch(SEALED, "again", segment.body() | other, None, None)
    log.append(replace(batch, writer=log.sealed.writer, sequence=2))
    with pytest.raises(ListingBroken) as caught:
        list(log.read(1, 10, kind="decision"))
    assert caught.value.exit_code == 40
    with Log(log.url) as again, pytest.raises(ListingBroken):
        again.sealed.segments()


def test_the_same_words_of_another_writer_register_nothing(log: Log) -> None:
    fill(log, steps=1)
    (segment,) = seal(log)
    log.control(SEALED, "1-9", segment.body())
    assert [one.number for one in log.sealed.segments()] == [1]


def test_what_is_released_is_read_as_it_was_and_nothing_else_changes(log: Log) -> None:
    fill(log, 12)
    end = log.head().position + 1
    before = {read: table(log.read(1, end, kind=read[0], decision_point=read[1])) for read in READS}
    lines = last(log, end, 1000, None, None)
    places = [log.as_of(position) for position in range(0, end, 7)]
    with pytest.raises(psycopg.Error, match="no registered segment") as refused:
        log.rows("release", start=1, sealer=log.sealed.writer)
    assert refused.value.sqlstate == "HA007"
    seal(log, stop=400, events=90)
    done = release(log, timedelta(0))
    assert [one.start for one in done] == [1, 101, 201]
    assert all(one.stop > one.start + 99 for one in done)
    assert release(log, timedelta(0)) == []
    after = {read: table(log.read(1, end, kind=read[0], decision_point=read[1])) for read in READS}
    assert after == before
    assert last(log, end, 1000, None, None) == lines
    assert [log.as_of(position) for position in range(0, end, 7)] == places
    assert log.verify().holds
    released = [event.body["start"] for event in log.controls(RELEASED)]
    assert released == [1, 101, 201]
    assert [event.body for event in log.controls("look.taken")] == [{"n": step} for step in range(12)]
    empty = sum(not row[12] for row in log.rows("links", start=1, stop=end, rows=10**6, bytes=2**40))
    assert empty > 10


def test_what_is_recent_comes_from_the_database_until_that_released_it(log: Log) -> None:
    fill(log, 12)
    end = log.head().position + 1
    seal(log)
    asked: list[int] = []
    read = log.sealed.read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log.sealed, "read", lambda start, *rest: asked.append(start) or read(start, *rest))
        whole = table(log.read(1, end, kind="decision"))
        assert asked.pop() == 1
        recent = Wanted("decision", recent=True)
        assert table(log.scan(1, end, recent)).equals(whole)
        assert asked == []
        stop = release(log, timedelta(0))[-1].stop
        assert table(log.scan(1, end, recent)).equals(whole)
        assert table(log.scan(stop, end, recent)).equals(whole.filter(pc.field("position") >= stop))
        assert asked == [1]
        for start in (2, 40, 123):  # within a batch that was released
            assert table(log.scan(start, end, recent)).equals(whole.filter(pc.field("position") >= start))
        assert len(asked) == 4
        patch.setattr(reader, "SHORT", 10)
        assert table(log.scan(stop, end, recent)).equals(whole.filter(pc.field("position") >= stop))
        assert asked[4:] == [stop]


def test_a_late_resend_of_what_was_released_is_still_known(log: Log) -> None:
    writer = uuid.uuid4()
    batches = [stored(decisions(30, first=step * 30), writer, step + 1) for step in range(12)]
    receipts = [log.append(batch) for batch in batches]
    seal(log)
    assert len(release(log, timedelta(0))) == 3
    again = [log.append(batch) for batch in batches]
    assert [(one.position, one.digest, one.duplicate) for one in again] == [
        (one.position, one.digest, True) for one in receipts
    ]
    with pytest.raises(WriterForked):
        log.append(stored(decisions(30, first=7), writer, 1))


def test_what_is_young_stays(log: Log) -> None:
    fill(log, 12)
    seal(log)
    assert release(log, timedelta(days=400)) == []


def test_a_partition_is_not_released_while_a_statement_reads_it(log: Log) -> None:
    fill(log, 12)
    seal(log)
    with psycopg.connect(log.url) as connection:
        connection.execute("select count(*) from harness.batch")
        with pytest.raises(ReleaseRefused, match="a statement reads"):
            release(log, timedelta(0))
    assert len(release(log, timedelta(0))) == 5


def test_a_reader_that_is_overtaken_by_a_release_and_a_compaction_reads_on(log: Log) -> None:
    """Each batch is a statement of its own: what was hot is released, sealed files are compacted away."""
    fill(log, 12)
    end = log.head().position + 1
    whole = table(log.read(1, end, kind="decision"))
    seal(log, stop=200, events=60)
    with create_log(url=log.url) as other, pytest.MonkeyPatch.context() as patch:
        other.sealed._place = log.sealed._place
        patch.setattr(reader, "ROWS_MAX", 1)
        found = []
        for number, batch in enumerate(other.read(1, end, kind="decision")):
            found.append(batch)
            if number == 1:
                assert len(compact(log, events=1000)) == 1
            if number == 14:
                seal(log)
                assert release(log, timedelta(0))
        assert pa.Table.from_batches(found).equals(whole)


def test_a_partition_is_not_released_when_its_segment_is_damaged(log: Log) -> None:
    fill(log, 12)
    (segment,) = seal(log)
    path = Path(log.sealed.store.url(segment.parts[0].path))
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(SegmentAltered):
        release(log, timedelta(0))
    assert not any(one.released for one in partitions(log))
    found = log.verify()
    assert (found.holds, found.altered) == (False, 1)


def test_small_segments_become_one_and_read_the_same(log: Log) -> None:
    fill(log, 12)
    end = log.head().position + 1
    before = {read: table(log.read(1, end, kind=read[0], decision_point=read[1])) for read in READS}
    made = seal(log, events=50)
    assert len(made) == 12
    files = {found.path for found in log.sealed.store.files()}
    (one,) = compact(log)
    assert (one.first, one.stop, one.replaces) == (1, end, tuple(range(1, 13)))
    assert list(log.sealed.segments()) == [one]
    assert {found.path for found in log.sealed.store.files()} == set(one.paths())
    assert not files & set(one.paths())
    assert {read: table(log.read(1, end, kind=read[0], decision_point=read[1])) for read in READS} == before
    assert compact(log) == []
    assert log.verify().holds
    with create_log(url=log.url) as other:  # the listing is the same for whoever reads it from the start
        assert list(other.sealed.segments()) == [one]


def test_what_is_sealed_elsewhere_is_covered(log: Log) -> None:
    fill(log, 2)
    seal(log, stop=40)
    assert log.rows("identity")[0][3] == 0
    log.sealed._place = replace(log.sealed._place, covers=True)
    seal(log)
    assert log.rows("identity")[0][3] == 93
    assert log.append(stored(decisions(1), uuid.uuid4(), 1)).covered == 93
