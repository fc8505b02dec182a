"""What the spool answers, and what it still knows after it was opened again."""

import sqlite3
from pathlib import Path

import pytest

from recorders.sidecar import segment
from recorders.sidecar.place import INBOX, Place
from recorders.sidecar.spool import Rules
from tests.support.sidecars import arrived, decisions, new_writer, spool_in

ALL = {"events": 10**9, "payload_bytes": 10**12}


def stored(spool, after=Place(0, 0)):  # noqa: B008
    return [item.frame for item in spool.read(after, **ALL)]


def test_a_frame_is_kept_once_and_known_again(tmp_path: Path) -> None:
    writer = new_writer()
    frames = [arrived(decisions(writer, n)) for n in (1, 2, 3)]
    spool = spool_in(tmp_path / "s")
    assert [a.kept for a in spool.commit(frames)] == [True] * 3
    again = spool.commit(frames)
    assert [(a.kept, a.duplicate) for a in again] == [(True, True)] * 3
    assert stored(spool) == frames
    spool.close()


def test_other_bytes_under_a_known_sequence_are_a_fork(tmp_path: Path) -> None:
    writer = new_writer()
    spool = spool_in(tmp_path / "s")
    spool.commit([arrived(decisions(writer, 1))])
    (answer,) = spool.commit([arrived(decisions(writer, 1, salt="clone"))])
    assert (answer.kept, answer.reason, answer.have) == (False, "forked", 1)
    assert spool.counts.forked == 1
    assert len(stored(spool)) == 1
    spool.close()


def test_a_sequence_too_far_is_a_gap_and_nothing_behind_it_is_kept(tmp_path: Path) -> None:
    writer = new_writer()
    spool = spool_in(tmp_path / "s")
    answers = spool.commit([arrived(decisions(writer, n)) for n in (1, 3, 4)])
    assert [(a.kept, a.reason, a.have) for a in answers] == [
        (True, "", 1),
        (False, "gap", 1),
        (False, "gap", 1),
    ]
    spool.close()


def test_an_old_frame_whose_digest_is_forgotten_is_never_acknowledged(tmp_path: Path) -> None:
    writer = new_writer()
    spool = spool_in(tmp_path / "s")
    frames = [arrived(decisions(writer, n, 1)) for n in range(1, 302)]
    spool.commit(frames)
    (answer,) = spool.commit(frames[:1])
    assert answer.reason == "forked"
    spool.close()


@pytest.mark.parametrize("segment_bytes", [65_536, 2**24])
def test_marks_and_digests_are_carried_over_rotation_and_opening(tmp_path: Path, segment_bytes: int) -> None:
    writers = [new_writer() for _ in range(5)]
    rules = Rules(segment_bytes=segment_bytes)
    spool = spool_in(tmp_path / "s", rules=rules)
    frames = [arrived(decisions(w, n, 20, padding=200)) for n in range(1, 41) for w in writers]
    for start in range(0, len(frames), 10):
        spool.commit(frames[start : start + 10])
    assert (len(segment.numbered(tmp_path / "s", INBOX)) > 5) == (segment_bytes == 65_536)
    spool.close()
    spool = spool_in(tmp_path / "s", rules=rules)
    assert stored(spool) == frames
    assert all(a.duplicate for a in spool.commit(frames[-50:]))
    clone = arrived(decisions(writers[0], 40, salt="clone"))
    assert spool.commit([clone])[0].reason == "forked"
    assert spool.marks([writers[1].bytes])[0].sequence == 40
    spool.close()


def test_a_segment_goes_only_when_all_of_it_is_composed(tmp_path: Path) -> None:
    writer = new_writer()
    rules = Rules(segment_bytes=65_536)
    spool = spool_in(tmp_path / "s", rules=rules)
    for n in range(1, 31):
        spool.commit([arrived(decisions(writer, n, 20, padding=300))])
    items = spool.read(Place(0, 0), **ALL)
    cut = next(i for i, item in enumerate(items) if item.segment == 3)
    spool.release(Place(items[cut - 2].segment, items[cut - 2].id))
    assert segment.numbered(tmp_path / "s", INBOX)[0][0] == 2
    spool.release(Place(items[cut - 1].segment, items[cut - 1].id))
    assert segment.numbered(tmp_path / "s", INBOX)[0][0] == 3
    last = items[-1]
    spool.release(Place(last.segment, last.id))
    assert [n for n, _ in segment.numbered(tmp_path / "s", INBOX)] == [spool.current]
    spool.close()


def test_feature_sets_are_known_after_opening(tmp_path: Path) -> None:
    spool = spool_in(tmp_path / "s")
    spool.commit([], [(b"d" * 32, b"{}")])
    spool.close()
    spool = spool_in(tmp_path / "s")
    assert spool.feature_set(b"d" * 32) == b"{}"
    spool.close()


def test_only_one_connection_writes_and_readers_cannot(tmp_path: Path) -> None:
    """SQLite's WAL-reset bug needs two connections that write or checkpoint."""
    spool = spool_in(tmp_path / "s")
    spool.commit([arrived(decisions(new_writer(), 1))])
    ((_, path),) = segment.numbered(tmp_path / "s", INBOX)
    reader = segment.open_reader(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("delete from frame")
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("pragma wal_checkpoint(truncate)")
    assert path.with_name(path.name + "-wal").stat().st_size > 0
    reader.close()
    spool.close()


def test_a_frame_that_failed_to_sync_is_void_and_its_file_is_left_alone(tmp_path: Path) -> None:
    """The transaction may be in the file or not: it was never acknowledged, so it does not count."""
    writer = new_writer()
    spool = spool_in(tmp_path / "s")
    first, second = (arrived(decisions(writer, n)) for n in (1, 2))
    spool.commit([first])
    real = spool._connection

    class Lying:
        """Commits, and says that it failed, as fsync may."""

        in_transaction = False

        def execute(self, statement: str, *values: object) -> object:
            done = real.execute(statement, *values)
            if statement == "commit":
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = 1034  # SQLITE_IOERR_FSYNC
                raise error
            return done

        def executemany(self, *values: object) -> object:
            return real.executemany(*values)

    spool._connection = Lying()
    assert [a.kept for a in spool.commit([second])] == [True]
    assert spool.counts.frozen == 1
    assert stored(spool) == [first, second]
    spool._untouched.clear()
    spool.close()
    real.close()
    spool = spool_in(tmp_path / "s")
    assert stored(spool) == [first, second]
    assert spool.commit([second])[0].duplicate
    spool.close()
