"""A log restored from a backup: what comes back, what is lost, and everything that must be refused."""

import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness.cli.log_recover import planned
from harness.cli.main import run
from harness.integrity.checkpoints import take as checkpoint
from harness.integrity.compare import compare
from harness.integrity.errors import HistoryForked, KeyUnusable
from harness.integrity.note import parse_key
from harness.integrity.receipts import check_receipts
from harness.log.compact import compact
from harness.log.log import Log
from harness.log.release import release
from harness.log.seal import seal
from harness.recovery.errors import HistoriesDiverged, NothingToRecover, StoreForeign, WritersConnected
from harness.recovery.invalid import INVALIDATED, invalid
from harness.segment_errors import SegmentAltered
from recorders.append import Appender
from recorders.errors import LinkUnavailable, Rewound
from tests.support.backups import restorable
from tests.support.batches import decisions, outcomes, stored
from tests.support.restored import WRITER, World, chain, lose
from tests.support.superuser import rewrite


@pytest.fixture
def world(fresh_log: Log, tmp_path: Path) -> Iterator[World]:
    with restorable(fresh_log) as steps:
        fresh_log.close()
        yield World(fresh_log, tmp_path, steps)


def test_sealed_ranges_come_back_to_the_byte_and_the_rest_is_named(world: World) -> None:
    with world.open() as log:
        world.grow(log)
        world.take()
    with world.open() as log:
        world.grow(log)
        log.control("verdict.reached", "sealed", {"state": "PROMOTE"})
        seal(log)
        kept = log.sealed.stop()
        world.grow(log)
        log.control("verdict.reached", "churn", {"state": "PROMOTE"})
        note, covered = checkpoint(log, world.host).note, log.head().position - 1
        before = chain(log, kept)
        lost = log.head().position
    world.restore()
    with world.open() as log:
        head = log.head()
        plan = world.plan(log, receipts=world.told)
        assert log.head() == head, "a plan changes nothing"
        assert (plan.head, plan.back, plan.batches) == (head.position, kept - 1, 4)
        assert plan.last == lost, "the checkpoint's own event too"
        (writer,) = plan.writers
        assert (writer.first_sequence, writer.last_sequence, writer.kept, writer.events) == (7, 9, 3, 12)
        assert ("verdict.reached", "churn", "PROMOTE") in [
            (one.type, one.subject, one.state) for one in plan.references
        ]
        told = world.plan(log, receipts=world.told, notes=[note.render().encode()])
        assert [one.position for one in told.checkpoints] == [covered]
        assert f"batches up to position {covered}, at {lost} or after it." in "\n".join(planned(told))
        made = world.recover(log, plan)
        assert chain(log, kept) == before
        assert (made.position, log.head().epoch, made.registered) == (kept, 2, 1)
        assert log.verify().holds
        seen = compare(log, world.host)
        assert (seen.lost_batches > 0, seen.foreign) == (True, [])
        assert compare(log, world.host, [note.render().encode()]).lost_checkpoints == 1
        assert checkpoint(log, world.host).checkpoint.origin.endswith("/e2")
        (one,) = invalid(log, "churn", ["verdict.reached"])
        assert (one.epoch, one.state) == (1, "PROMOTE")
        assert invalid(log, "sealed", ["verdict.reached"]) == []
        # What was said of the part that is kept is said of the same epoch as before.
        assert (log.as_of(kept - 1).epoch, log.as_of(kept).epoch, log.as_of().epoch) == (1, 2, 2)
        found = check_receipts(log, world.host, world.told)
        assert (found.held, found.lost) == (6, 3)
        for number in (7, 8, 9):  # the sidecar ships again what it kept
            log.append(stored(decisions(4, first=10 * number), WRITER, number, acked=number - 1))
        assert check_receipts(log, world.host, world.told)[2:] == (3, 0)
        with pytest.raises(NothingToRecover):
            world.plan(log, receipts=world.told)
    with world.open() as log, Log(log.url) as other:  # a host that remembers nothing
        assert compare(other, world.folder / "another").lost_batches == 0
        assert log.sealed.stop() > kept - 1


def test_two_recoveries_one_older_than_the_other_never_share_an_epoch(world: World) -> None:
    with world.open() as log:
        world.grow(log, 1)
        world.take()
    with world.open() as log:
        world.grow(log, 1)
        checkpoint(log, world.host)
    for epoch in (2, 3):
        world.restore()
        with world.open() as log:
            plan = world.plan(log)
            assert (plan.epoch, plan.next_epoch) == (1, epoch)
            world.recover(log, plan)
            world.grow(log, 1)
            checkpoint(log, world.host)
            assert log.as_of(plan.back).epoch == 1
            assert compare(log, world.host).lost_batches > 0


def test_a_log_sealed_after_its_recovery_gives_that_back_as_well(world: World) -> None:
    with world.open() as log:
        world.grow(log)
        world.take()
    with world.open() as log:
        world.grow(log)
        checkpoint(log, world.host)
    world.restore()
    with world.open() as log:
        world.recover(log, world.plan(log))
        boundary = log.head().position
        world.grow(log)
        seal(log)
        checkpoint(log, world.host)
    world.restore()
    with world.open() as log:
        plan = world.plan(log)
        assert plan.next_epoch == 3
        world.recover(log, plan)
        assert log.verify().holds
        assert log.as_of(boundary - len(log.controls(INVALIDATED)) - 1).epoch == 1
        assert log.as_of(plan.back).epoch == 2
        compare(log, world.host)


def test_released_and_compacted_segments_serve_a_backup_that_names_older_ones(world: World) -> None:
    with world.open() as log:
        for _ in range(3):
            world.grow(log)
            seal(log)
        world.take()
    with world.open() as log:
        assert compact(log)
        head = log.head().position
        whole = chain(log, head + 1)
    world.restore()
    with world.open() as log:
        assert not log.verify().holds, "the files that it knows are gone"
        plan = world.plan(log, receipts=world.told)
        assert world.recover(log, plan).registered == 1
        assert log.verify().holds
        assert chain(log, plan.back + 1) == whole[: len(chain(log, plan.back + 1))]


def test_nothing_is_appended_from_the_fence_to_the_new_epoch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.open() as log:
        world.grow(log)
        world.take()
    with world.open() as log:
        world.grow(log)
        seal(log)
        checkpoint(log, world.host)
    world.restore()

    def died(*_: object) -> int:
        raise KeyboardInterrupt

    with world.open() as log:
        plan = world.plan(log)
        with monkeypatch.context() as broken:
            broken.setattr("harness.recovery.recover._raise", died)
            with pytest.raises(KeyboardInterrupt):
                world.recover(log, plan)
        writer = Appender(log.url)
        with pytest.raises(LinkUnavailable, match="being recovered"):
            writer.append(stored(outcomes(1), uuid.uuid4(), 1))
        writer.close()
    with world.open() as log:
        again = world.plan(log)
        assert (again.fenced, again.head, again.batches) == (True, plan.back, 0)
        made = world.recover(log, again)
        assert (made.epoch, log.head().epoch) == (2, 2)
        assert log.verify().holds


def test_a_writer_that_lost_something_waits_for_the_epoch(world: World) -> None:
    with world.open() as log:
        world.grow(log, 2)
        world.take()
    with world.open() as log:
        world.grow(log, 2)
        checkpoint(log, world.host)
    world.restore()
    with world.open() as log:
        with pytest.raises(Rewound, match='"harness log recover"') as error:
            log.append(stored(decisions(4, first=50), WRITER, 5, acked=4))
        assert (error.value.have, error.value.epoch) == (2, 1)
    with world.open() as log:
        world.recover(log, world.plan(log))
        with pytest.raises(Rewound) as error:
            log.append(stored(decisions(4, first=50), WRITER, 5, acked=4))
        assert error.value.epoch == 2


def test_writers_that_are_connected_are_named(world: World) -> None:
    lose(world)
    with world.open() as log:
        plan = world.plan(log)
        writer = Appender(world.url)
        with pytest.raises(Rewound):
            writer.append(stored(decisions(1), WRITER, 6, acked=5))
        with pytest.raises(WritersConnected, match="1 sessions that append"):
            world.recover(log, plan)
        writer.close()
        assert not log.rows("fenced")[0][0]
        assert world.recover(log, plan).epoch == 2


@pytest.mark.parametrize("known", ["memory", "receipts", "segments", "notes"])
def test_what_was_appended_before_the_recovery_is_never_papered_over(world: World, known: str) -> None:
    lose(world, sealed=known == "segments")
    note, key = next(world.host.glob("*/e1/checkpoint")).read_bytes(), None
    if known != "memory":
        key = parse_key(next(world.host.glob("*/e1/log.vkey")).read_text())
        shutil.rmtree(world.host)
    with world.open() as log:
        first = log.head().position + 1
        log.append(stored(decisions(20, first=900), uuid.uuid4(), 1))
        given: dict[str, Any] = {"receipts": world.told} if known == "receipts" else {}
        given |= {"notes": [note], "key": key} if known == "notes" else {}
        if known == "notes":  # a root names no position: enough batches to compare it
            for _ in range(6):
                log.append(stored(outcomes(1), uuid.uuid4(), 1))
        with pytest.raises(HistoriesDiverged) as error:
            world.plan(log, **given)
        assert error.value.position >= first
        if known != "notes":
            assert error.value.position == first


def test_a_rewrite_cannot_be_recovered_from_and_stays_what_it_is(world: World) -> None:
    with world.open() as log:
        world.grow(log)
        checkpoint(log, world.host)

    def replace_one(rows: list[dict[str, Any]]) -> None:
        rows[1]["payload"] = rows[0]["payload"]
        del rows[3:]

    rewrite(world.url, replace_one)
    with world.open() as log, pytest.raises(HistoriesDiverged) as error:
        world.plan(log)
    assert error.value.position == 5


def test_an_epoch_that_the_key_did_not_sign_for_is_a_rewrite(world: World) -> None:
    with world.open() as log:
        world.grow(log)
        checkpoint(log, world.host)
    rewrite(world.url, lambda rows: rows.reverse() or rows[0].update(payload=rows[1]["payload"]))
    with psycopg.connect(world.url) as connection:  # and everybody is told to forget what was
        connection.execute("insert into harness.epoch values (2, 0)")
        connection.execute("update harness.log set epoch = 2")
    with world.open() as log:
        log.control("log.rewound", f"harness.log/{log.head().log_id}/e2", {"epoch": 2, "after": 0})
        with pytest.raises(HistoryForked, match="a recovery that the log's key signed for"):
            compare(log, world.host)


def test_the_store_of_another_log_is_refused(world: World, fresh_log: Log) -> None:
    lose(world)
    (name,) = [path for path in (world.folder / "store").iterdir() if path.is_dir()]
    name.rename(name.with_name(str(uuid.uuid4())))
    with world.open() as log, pytest.raises(StoreForeign, match="none of log"):
        world.plan(log)


@pytest.mark.parametrize("what", ["manifests", "ledgers"])
def test_an_altered_segment_is_refused_before_anything_is_changed(world: World, what: str) -> None:
    lose(world)
    (path,) = (world.folder / "store").glob(f"*/{what}/*")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with world.open() as log:
        with pytest.raises(SegmentAltered):
            world.plan(log)
        assert not log.rows("fenced")[0][0]


def test_a_log_that_lost_nothing_is_left_alone(world: World) -> None:
    with world.open() as log:
        with pytest.raises(NothingToRecover, match="ends at 0"):
            world.plan(log)
        world.grow(log)
        seal(log)
        checkpoint(log, world.host)
        with pytest.raises(NothingToRecover):
            world.plan(log, receipts=world.receipts)


def test_the_key_of_the_log_must_be_here(world: World) -> None:
    lose(world)
    next(world.host.glob("*/key.pem")).unlink()
    with world.open() as log, pytest.raises(KeyUnusable):
        world.recover(log, world.plan(log))


def test_a_killed_recovery_is_done_again(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGKILL after some of the batches came back; the rest comes with the next run."""
    with world.open() as log:
        world.grow(log, 1)
        world.take()
    with world.open() as log:
        world.grow(log, 30)
        seal(log)
        checkpoint(log, world.host)
        before = chain(log, log.sealed.stop())
    world.restore()
    code = (
        "import os, signal, sys\n"
        "from harness.cli.main import run\n"
        "import harness.recovery.recover as recovery\n"
        "recovery.CHUNK_BATCHES = 7\n"
        "steps = recovery.islice\n"
        "calls = iter(range(99))\n"
        "def counted(*a):\n"
        "    if next(calls) == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return steps(*a)\n"
        "recovery.islice = counted\n"
        "sys.exit(run(['log', 'recover', '-C', sys.argv[1]]))\n"
    )
    home = world.folder / "home"
    (home / ".harness").mkdir(parents=True)
    world.host.rename(home / ".harness" / "integrity")
    (home / "harness.toml").write_text(
        f'[database]\nurl = "{world.url}"\n[store]\nurl = "{world.place.url}"\n'
    )
    killed = subprocess.run([sys.executable, "-c", code, str(home)], check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()
    with world.open() as log:
        assert (log.head().epoch, log.rows("fenced")[0][0]) == (1, True)
        assert 4 < log.head().position < 124
    assert run(["log", "recover", "-C", str(home)]) == 0
    assert "A recovery was interrupted before" in capsys.readouterr().out
    with world.open() as log:
        assert chain(log, before[-1][0] + 1) == before
        assert log.verify().holds
        release(log, keep=timedelta(0))
