"""A disk that is full, fails to write, writes short, or fails to sync: refused or kept, never forgotten."""

import collections
import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.log.log import Log
from recorders.errors import LinkUnavailable
from recorders.sidecar.house import House, ship_all
from recorders.sidecar.place import Place
from recorders.socket_link import SocketLink
from tests.support.fake_log import FakeLog
from tests.support.sidecars import (
    FEATURES,
    Running,
    arrived,
    decision_ids,
    decisions,
    names,
    new_writer,
    settings_in,
    spool_in,
)

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB of its own."""
    where = tmp_path / "disk"
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(where)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


def fill(folder: Path) -> Path:
    """Take all that is left on the disk, as a neighbour's log file does."""
    filler = folder / "filler"
    descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with contextlib.suppress(OSError):
        while True:
            os.write(descriptor, b"x" * 4096)
    os.close(descriptor)
    return filler


def fed(house: House, writer, sequence: int, told: list) -> int:
    """Keep frames until one is refused; return the next sequence."""
    for _ in range(400):
        frame = decisions(writer, sequence, 20, padding=500)
        (answer,) = house.spool.commit([arrived(frame)], [SCHEMA])
        if not answer.kept:
            assert answer.reason == "full"
            return sequence
        told.append(frame)
        sequence += 1
    raise AssertionError("the disk never filled")


@pytest.mark.parametrize("neighbour", [False, True])
def test_a_full_disk_refuses_drains_and_takes_again(
    fresh_log: Log, small_disk: Path, neighbour: bool
) -> None:
    limits = {"segment_bytes": 262_144, "free_bytes_min": 524_288, "ballast_bytes": 1_048_576}
    house = House(settings_in(small_disk / "s", fresh_log.url, **limits))
    writer, told, sequence = new_writer(), [], 1
    try:
        for _ in range(3):
            sequence = fed(house, writer, sequence, told)
            filler = fill(small_disk) if neighbour else None
            assert ship_all(house, timeout_s=30), house.shipper.reason
            for _ in range(5):
                house.shipper.step()  # lets go of what was shipped
            if filler:
                filler.unlink()
            house.spool.tick()
            assert house.spool.refusal == ""
            assert house.disk.ballast.exists()
        assert house.spool.counts.full == 3
    finally:
        house.close()
    assert collections.Counter(decision_ids(fresh_log)) == collections.Counter(names(told))
    fresh_log.verify()


def test_a_full_disk_is_told_to_the_service_and_heals_by_itself(small_disk: Path) -> None:
    limits = "[spool]\nsegment_bytes = 262144\nfree_bytes_min = 524288\nballast_bytes = 0\n"
    with Running(small_disk / "s", NOWHERE, limits) as sidecar:
        link = SocketLink(sidecar.address, [FEATURES])
        writer = new_writer()
        filler = fill(small_disk)
        with pytest.raises(LinkUnavailable, match="the disk has 0 bytes left"):
            link.send(decisions(writer, 1))
        ready = sidecar.run("status").stdout
        assert '"refusing": 1' in ready
        filler.unlink()
        assert not link.send(decisions(writer, 1)).duplicate
        link.close()


def test_the_quota_refuses_and_never_forgets(tmp_path: Path) -> None:
    # A quota of some write-ahead files (4 MiB each at most): they count too, and fill a smaller one first.
    spool = spool_in(tmp_path / "s", quota_bytes=10_000_000)
    writer, kept = new_writer(), 0
    for n in range(1, 2_000):
        (answer,) = spool.commit([arrived(decisions(writer, n, 20, padding=500))])
        if not answer.kept:
            assert "quota" in answer.text
            break
        kept += 1
    assert 200 < kept < 1_200
    assert len(spool.read(Place(0, 0), events=10**9, payload_bytes=10**12)) == kept
    spool.close()


def test_what_is_shipped_makes_room_also_in_the_files_that_are_written(tmp_path: Path) -> None:
    """Below a few segments the quota was reached by files that nothing closed: it refused for ever."""
    log, told = FakeLog(), []
    settings = settings_in(tmp_path / "s", quota_bytes=3 * 2**20, segment_bytes=16 * 2**20)
    house = House(settings, log.door)
    try:
        writer, sequence = new_writer(), 1
        for _ in range(3):
            before = sequence
            sequence = fed(house, writer, sequence, told)
            assert sequence > before
            assert "quota" in house.spool.refusal
            assert ship_all(house, timeout_s=30)
            for _ in range(5):
                house.spool.tick()
                house.shipper.step()
            house.spool.tick()
            assert house.spool.refusal == ""
        assert collections.Counter(log.held()) == collections.Counter(names(told))
    finally:
        house.close()
