"""The shipper against a database that is away, refuses, was restored, is another, or has another history."""

import collections
import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import psycopg
import pytest
from psycopg import sql

from harness.log.log import Log
from recorders.frame import frame_of
from recorders.sidecar import segment
from recorders.sidecar.house import House, ship_all
from recorders.sidecar.metrics import readiness
from recorders.sidecar.stamp import Stamp
from tests.support import servers
from tests.support.backups import restorable
from tests.support.houses import kept, once, opened, shipped
from tests.support.sidecars import (
    arrived,
    decision_ids,
    decisions,
    losses,
    names,
    new_writer,
    outcomes,
    settings_in,
    until,
)

END_SESSIONS = """
    select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'harness-append'
"""


def stopped(house: House) -> str:
    assert not ship_all(house, timeout_s=30)
    assert house.shipper.state == "stopped"
    assert any(house.shipper.reason in reason for reason in readiness(house.status()))
    return house.shipper.reason


def recovered(house: House, url: str) -> None:
    """Wait until the shipper waits for a recovery, and raise the epoch as one does."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("recorders.sidecar.ship.REFUSED_RETRY_S", 0.05)
        assert '"harness log recover"' in stopped(house)
        with psycopg.connect(url) as connection:
            head = connection.execute("select position from harness.head").fetchone()
            connection.execute("insert into harness.epoch values (2, %s)", head)
            connection.execute("update harness.log set epoch = 2")
        until(lambda: house.shipper.step() == 0.0 or house.shipper.state == "shipping")
        shipped(house)


def test_kinds_and_writers_keep_their_order(fresh_log: Log, tmp_path: Path) -> None:
    writers = [new_writer() for _ in range(3)]
    frames = [decisions(w, n, 3) for n in range(1, 101) for w in writers]
    with opened(tmp_path / "s", fresh_log.url) as house:
        kept(house, frames)
        kept(house, [outcomes(w, 101) for w in writers] + [losses(writers[0], 102, 9)])
        shipped(house)
        assert house.shipper.counts.batches == 3
        assert house.status()["ship"]["drained"]
    assert decision_ids(fresh_log) == names(frames)
    assert fresh_log.controls("recorder.loss")[0].body["count"] == 9
    fresh_log.verify()


def test_a_frame_that_cannot_be_used_is_kept_aside_and_told(fresh_log: Log, tmp_path: Path) -> None:
    good, bad = new_writer(), new_writer()
    broken = arrived(decisions(bad, 1))._replace(payload=b"\xdd\x00\x00\x00\x04junk")
    with opened(tmp_path / "s", fresh_log.url) as house:
        kept(house, [decisions(good, 1)])
        house.spool.commit([broken])
        kept(house, [decisions(good, 2)])
        shipped(house)
    once(fresh_log, [decisions(good, 1), decisions(good, 2)])
    (told,) = fresh_log.controls("recorder.loss", str(bad))
    assert (told.body["reason"], told.body["count"], told.body["sequences"]) == ("unusable", 4, [1, 1])
    assert (tmp_path / "s" / "quarantine" / f"unusable-{bad}-1.msgpack").exists()


@pytest.mark.parametrize("reason", [b"\xa3a\0b", b"\xa0", b"\xda\x01\x2c" + b"x" * 300, b"\xa1\xff"])
def test_a_loss_that_the_log_could_not_hold_stops_nobody(
    fresh_log: Log, tmp_path: Path, reason: bytes
) -> None:
    good, bad = new_writer(), new_writer()
    body = b"\x91\x95" + msgspec.msgpack.encode(str(bad)) + reason + b"\x01\x00\x00"
    with opened(tmp_path / "s", fresh_log.url) as house:
        kept(house, [frame_of(bad, 1, "loss", "shop.checkout", "", 1, body), decisions(good, 1)])
        shipped(house)
    once(fresh_log, [decisions(good, 1)])
    (told,) = fresh_log.controls("recorder.loss", str(bad))
    assert told.body["reason"] == "unusable"


def test_a_read_only_database_is_waited_for(fresh_log: Log, tmp_path: Path) -> None:
    name = sql.Identifier(servers.database_of(fresh_log.url))
    frames = [decisions(new_writer(), 1)]
    setting = "alter database {} set default_transaction_read_only = {}"
    with psycopg.connect(fresh_log.url, autocommit=True) as connection:
        connection.execute(sql.SQL(setting).format(name, sql.SQL("on")))
        try:
            with opened(tmp_path / "s", fresh_log.url) as house:
                kept(house, frames)
                assert not ship_all(house, timeout_s=1)
                assert house.shipper.state == "waiting"
                assert readiness(house.status()) == []
                connection.execute("set default_transaction_read_only = off")
                connection.execute(sql.SQL(setting).format(name, sql.SQL("off")))
                house.shipper.close()  # its session keeps what it began with
                house.shipper._door = None
                shipped(house)
        finally:
            connection.execute(sql.SQL("alter database {} reset default_transaction_read_only").format(name))
    once(fresh_log, frames)


def test_a_session_that_is_ended_again_and_again_loses_nothing(fresh_log: Log, tmp_path: Path) -> None:
    writer = new_writer()
    frames = [decisions(writer, n) for n in range(1, 31)]
    with (
        opened(tmp_path / "s", fresh_log.url) as house,
        psycopg.connect(fresh_log.url, autocommit=True) as killer,
    ):
        for frame in frames:
            kept(house, [frame])
            house.shipper.draining = True
            house.shipper.step()
            killer.execute(END_SESSIONS)
        shipped(house)
        assert house.shipper.counts.retries >= 3
    assert decision_ids(fresh_log) == names(frames)


def test_a_reply_that_is_forgotten_in_a_crash_changes_nothing(fresh_log: Log, tmp_path: Path) -> None:
    """The log answered, and the process died before it wrote that down."""
    frames = [decisions(new_writer(), 1)]
    with opened(tmp_path / "s", fresh_log.url) as house:
        kept(house, frames)
        house.outbox.shipped = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            ship_all(house, timeout_s=10)
    head = fresh_log.head()
    with opened(tmp_path / "s", fresh_log.url) as house:
        shipped(house)
        assert house.shipper.counts.duplicates == 1
    assert fresh_log.head() == head


@pytest.mark.parametrize("before", [0, 4])
def test_a_restored_log_gets_back_what_it_lost(fresh_log: Log, tmp_path: Path, before: int) -> None:
    writer = new_writer()
    frames = [decisions(writer, n) for n in range(1, 11)]
    with restorable(fresh_log) as (take, restore):
        fresh_log.close()
        with opened(tmp_path / "s", fresh_log.url) as house:
            for place, frame in enumerate(frames[:-1]):
                if place == before:
                    take()
                kept(house, [frame])
                shipped(house)
            restore()
            kept(house, frames[-1:])
            recovered(house, fresh_log.url)
            assert house.shipper.counts.rewound >= 1
    with Log(fresh_log.url) as log:
        assert decision_ids(log) == names(frames)
        assert log.controls("recorder.loss") == []
        log.verify()


def test_what_a_restored_log_lost_and_nobody_kept_is_told(fresh_log: Log, tmp_path: Path) -> None:
    writer = new_writer()
    frames = [decisions(writer, n, 50, padding=3_000) for n in range(1, 31)]
    with restorable(fresh_log) as (take, restore):
        fresh_log.close()
        with opened(tmp_path / "s", fresh_log.url, segment_bytes=65_536) as house:
            kept(house, frames[:1])
            shipped(house)
            take()
            for frame in frames[1:-1]:
                kept(house, [frame])
                shipped(house)
            house.outbox.release(retain_s=0.0, pressed=True)
            first = house.outbox.first_kept
            assert first > 3
            restore()
            kept(house, frames[-1:])
            recovered(house, fresh_log.url)
    with Log(fresh_log.url) as log:
        held = decision_ids(log)
        assert len(held) == len(set(held))
        assert set(held) == set(names([frames[0], *frames[first - 1 :]]))
        (told,) = log.controls("recorder.loss")
        assert (told.body["reason"], told.body["sequences"]) == ("not_retained", [2, first - 1])


def test_another_log_stops_it_and_gets_nothing(fresh_log: Log, tmp_path: Path, database_url: str) -> None:
    from harness.database import create_log

    with servers.fresh_database(database_url) as other, create_log(url=other) as second:
        with opened(tmp_path / "s", fresh_log.url) as house:
            kept(house, [decisions(new_writer(), 1)])
            shipped(house)
        with opened(tmp_path / "s", other) as house:
            kept(house, [decisions(new_writer(), 1)])
            reason = stopped(house)
        assert str(second.head().log_id) in reason
        assert second.head().position == 0


def test_another_history_under_its_writer_stops_it(fresh_log: Log, tmp_path: Path) -> None:
    """The folder is a copy that cannot be told from its original, as a restored disk image is."""
    writer, clone = new_writer(), new_writer()
    with opened(tmp_path / "s", fresh_log.url) as house:
        kept(house, [decisions(writer, 1)])
        shipped(house)
        place = house.stamp.place
    shutil.copytree(tmp_path / "s", tmp_path / "c")
    with opened(tmp_path / "s", fresh_log.url) as house:
        kept(house, [decisions(writer, 2)])
        shipped(house)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stamp, "place", property(lambda _: place, lambda *_: None), raising=False)
        with opened(tmp_path / "c", fresh_log.url) as house:
            kept(house, [decisions(clone, 1)])
            assert "other bytes under sequence 2" in stopped(house)
            kept(house, [decisions(clone, 2)])  # the spool goes on keeping
            assert house.outbox.waiting
        house = House(settings_in(tmp_path / "c", fresh_log.url))
        house.outbox.rewrite(house.outbox.state.shipped_ordinal + 1, "an operator's decision")
        shipped(house)
        house.close()
    once(fresh_log, [decisions(writer, 1), decisions(writer, 2), decisions(clone, 1), decisions(clone, 2)])


@contextmanager
def descriptors(left: int) -> Iterator[None]:
    """Let this process have no more than `left` descriptors beside those that it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), hard))
    try:
        with suppress(OSError):
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        for _ in range(left):
            os.close(held.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for one in held:
            os.close(one)


@pytest.mark.parametrize("left", range(4))
def test_where_no_descriptor_is_left_it_waits_and_says_so(fresh_log: Log, tmp_path: Path, left: int) -> None:
    frames = [decisions(new_writer(), 1)]
    with opened(tmp_path / "s", fresh_log.url) as house:
        kept(house, frames)
        house.shipper.draining = True
        with descriptors(left):
            for _ in range(3):
                house.shipper.step()
        assert house.shipper.state != "stopped", house.shipper.reason
        shipped(house)
    assert decision_ids(fresh_log) == names(frames)


def flipped(path: Path, needle: bytes) -> None:
    data = bytearray(path.read_bytes())
    step = next(at for at in range(0, len(needle), 8) if data.count(needle[at : at + 40]) == 1)
    place = data.index(needle[step : step + 40]) + 20
    data[place] ^= 1
    path.write_bytes(data)


def test_a_flipped_byte_in_a_waiting_batch_is_a_told_loss_and_no_wrong_row(
    fresh_log: Log, tmp_path: Path
) -> None:
    writer = new_writer()
    frames = [decisions(writer, n, 30) for n in range(1, 4)]
    with opened(tmp_path / "s", fresh_log.url) as house:
        for frame in frames:
            kept(house, [frame])
            house.shipper._rounds.compose()
        payload = house.outbox.read(2).batch.payload
    flipped(tmp_path / "s" / "outbox-00000001.db", payload)
    with opened(tmp_path / "s", fresh_log.url) as house:
        shipped(house)
    once(fresh_log, [frames[0], frames[2]])
    reasons = {control.body["reason"] for control in fresh_log.controls("recorder.loss")}
    assert "batch_damaged" in reasons
    fresh_log.verify()


def test_a_torn_outbox_is_put_aside_and_what_can_be_read_goes_on(fresh_log: Log, tmp_path: Path) -> None:
    writer = new_writer()
    frames = [decisions(writer, n, 30, padding=500) for n in range(1, 6)]
    with opened(tmp_path / "s", fresh_log.url) as house:
        for frame in frames:
            kept(house, [frame])
            house.shipper._rounds.compose()
    path = tmp_path / "s" / "outbox-00000001.db"
    path.write_bytes(path.read_bytes()[: -segment.PAGE_BYTES])
    with opened(tmp_path / "s", fresh_log.url) as house:
        kept(house, [decisions(writer, 6)])
        shipped(house)
    held = collections.Counter(decision_ids(fresh_log))
    assert set(names([decisions(writer, 6)])) <= set(held) <= set(names([*frames, decisions(writer, 6)]))
    told = fresh_log.controls("recorder.loss")
    assert told[0].body["reason"] == "outbox_damaged"
    fresh_log.verify()


def test_what_is_covered_is_let_go_and_what_is_not_is_counted(fresh_log: Log, tmp_path: Path) -> None:
    writer = new_writer()
    with opened(tmp_path / "s", fresh_log.url, segment_bytes=65_536) as house:
        for n in range(1, 41):
            kept(house, [decisions(writer, n, 50, padding=2_000)])
            shipped(house)
        files = len(house.outbox._kept.files)
        assert files > 2
        house.outbox.release(retain_s=86_400.0, pressed=False)
        assert len(house.outbox._kept.files) == files
        with psycopg.connect(fresh_log.url, autocommit=True) as connection:
            connection.execute("update harness.log set covered = (select position from harness.head)")
        kept(house, [decisions(writer, 41)])
        shipped(house)
        house.outbox.release(retain_s=86_400.0, pressed=False)
        assert len(house.outbox._kept.files) == 2  # what came after, and the one that is written
        assert house.outbox.unlinked_uncovered == 0
        for n in range(42, 60):
            kept(house, [decisions(writer, n, 50, padding=2_000)])
            shipped(house)
        house.outbox.release(retain_s=0.0, pressed=False)
        assert house.outbox.unlinked_uncovered > 0


def test_status_is_json(tmp_path: Path) -> None:
    with opened(tmp_path / "s", "") as house:
        assert json.loads(json.dumps(house.status()))["durability"] == "power"
