"""What a spool keeps in memory is what its disk has: frames are read alike from either."""

import random
import sqlite3
from pathlib import Path

import pytest

from recorders.sidecar import recent
from recorders.sidecar.place import Place
from recorders.sidecar.spool import Rules, Spool
from tests.support.sidecars import arrived, decisions, from_disk, new_writer, spool_in

NOWHERE = Place(0, 0)


def filled(folder: Path, frames: int) -> tuple[Spool, list[Place]]:
    """Return a spool of several segments, and the place of each of its frames."""
    spool = spool_in(folder, rules=Rules("process", segment_bytes=65_536))
    spool._recent = recent.Recent(spool.end)
    writer, places = new_writer(), []
    for sequence in range(1, frames + 1):
        (answer,) = spool.commit([arrived(decisions(writer, sequence, 5, padding=300))])
        assert answer.kept
        places.append(spool.end)
    return spool, places


def read_from_disk(spool: Spool, after: Place, **limits: int) -> list:
    kept = spool._recent
    found = from_disk(spool).read(after, **limits)
    spool._recent = kept
    return found


def test_memory_and_disk_agree_at_every_place_and_limit(tmp_path: Path) -> None:
    spool, places = filled(tmp_path / "s", 120)
    assert places[-1].segment > places[0].segment + 1
    chance = random.Random(4)
    for after in [NOWHERE, *places, *chance.sample(places, 20)]:  # and back again
        limits = {"events": chance.randrange(1, 400), "payload_bytes": chance.randrange(1, 200_000)}
        found = [stored[:3] for stored in spool.read(after, **limits)]
        assert found == [stored[:3] for stored in read_from_disk(spool, after, **limits)]
    assert spool.read(places[-1], events=1, payload_bytes=1) == []
    spool.close()


def test_beyond_its_bound_the_oldest_are_read_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "BYTES_MAX", 10_000)
    spool, places = filled(tmp_path / "s", 60)
    held = spool._recent._frames
    assert 0 < sum(len(stored.frame.payload) for stored in held) <= 10_000
    everything = spool.read(NOWHERE, events=10**9, payload_bytes=10**9)
    assert [Place(*stored[:2]) for stored in everything] == places
    assert spool.read(places[-2], events=1, payload_bytes=1)[0] is held[-1]
    spool.close()


def test_what_the_disk_refused_is_not_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, places = filled(tmp_path / "s", 2)

    def fails(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(spool, "_transact", fails)
    (answer,) = spool.commit([arrived(decisions(new_writer(), 1))])
    assert not answer.kept
    assert spool.read(places[-1], events=10, payload_bytes=10**6) == []
    spool.close()
