"""A disk that takes back what an earlier start has read from it: it is noticed, counted and said once."""

import json
import os
import shutil
from pathlib import Path

import pytest

from recorders.sidecar import segment
from recorders.sidecar.place import INBOX, Place
from recorders.sidecar.spool import Rules, Spool
from tests.support.sidecars import arrived, decisions, new_writer, spool_in

ALL = {"events": 10**9, "payload_bytes": 10**12}
FIRST = segment.name_of(INBOX, 1)


def killed(spool: Spool, to: Path) -> Path:
    """Return a copy of what the disk had when the process was killed: nothing was closed or checkpointed."""
    return shutil.copytree(spool.folder, to)


def told(spool: Spool) -> list[dict[str, object]]:
    """Return the bodies of the reports that a spool holds."""
    found = [item.frame for item in spool.read(Place(0, 0), **ALL) if item.frame.kind == 3]
    return [json.loads(frame.payload)["body"] for frame in found]


@pytest.fixture
def read_once(tmp_path: Path) -> Path:
    """A folder whose first segment, 12 frames of 5 events, was read by a second start that was killed too."""
    first = spool_in(tmp_path / "s1")
    writer = new_writer()
    for number in range(1, 13):
        first.commit([arrived(decisions(writer, number, 5))])
    second = spool_in(killed(first, tmp_path / "s2"))
    assert not told(second)
    folder = killed(second, tmp_path / "s3")
    first.close()
    second.close()
    return folder


def lose(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).unlink()
    return folder


@pytest.mark.parametrize("ends", [("-wal", "-shm"), ("", "-wal", "-shm")])
def test_what_went_is_counted_exactly_and_said_once(
    read_once: Path, tmp_path: Path, ends: tuple[str, ...]
) -> None:
    third = spool_in(lose(read_once, *(FIRST + end for end in ends)))
    (body,) = told(third)
    assert (body["reason"], body["count"], body["frames"]) == ("spool_rewound", 60, 12)
    assert body["file"] == FIRST
    assert third.counts.gone_back == 1
    fourth = spool_in(killed(third, tmp_path / "s4"))
    third.close()
    assert len(told(fourth)) == 1  # the same one
    assert fourth.counts.gone_back == 0
    fourth.close()


@pytest.mark.parametrize(("composed", "frames", "count"), [(12, 0, None), (9, 3, None)])
def test_what_is_in_batches_is_not_missed(
    read_once: Path, composed: int, frames: int, count: int | None
) -> None:
    lose(read_once, FIRST + "-wal", FIRST + "-shm")
    third = spool_in(read_once, composed=Place(1, composed))
    assert [(body["frames"], body["count"]) for body in told(third)] == ([(frames, count)] if frames else [])
    third.close()


def test_nothing_is_missed_of_what_was_let_go(tmp_path: Path) -> None:
    spool, writer = spool_in(tmp_path / "s", rules=Rules(segment_bytes=1)), new_writer()
    for number in range(1, 6):
        spool.commit([arrived(decisions(writer, number, 5))])
    spool.release(spool.end)
    end = spool.end
    spool.close()
    again = spool_in(tmp_path / "s", composed=end)
    assert not told(again)
    again.close()


def test_a_spool_of_before_says_nothing_of_others_and_opens(read_once: Path) -> None:
    for _, path in segment.numbered(read_once, INBOX):
        connection = segment.open_writer(path, "power")
        connection.execute("drop table held")
        connection.close()
    third = spool_in(read_once)
    assert not told(third)
    assert len(third.read(Place(0, 0), **ALL)) == 12
    third.close()


def test_what_a_killed_process_may_not_have_synced_is_synced_before_it_counts(
    read_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, sync = set(), os.fsync

    def noted(descriptor: int) -> None:
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    there = {path.name for path in read_once.glob(f"{INBOX}*")}
    spool_in(read_once).close()
    assert there <= synced
    assert FIRST + "-wal" in there
