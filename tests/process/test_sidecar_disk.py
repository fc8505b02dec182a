"""A disk that is full, fails to write, writes short, or fails to sync: refused or kept, never forgotten."""

import collections
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.log.log import Log
from recorders.errors import LinkUnavailable
from recorders.sidecar.service import House, ship_all
from recorders.sidecar.spool import Place
from recorders.socket_link import SocketLink
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
CC = shutil.which("cc")
SCRIPT = Path(__file__).with_name("spool_under_faults.py")
FAULTS = Path(__file__).with_name("disk_faults.c")


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
    spool = spool_in(tmp_path / "s", quota_bytes=1_000_000)
    writer, kept = new_writer(), 0
    for n in range(1, 200):
        (answer,) = spool.commit([arrived(decisions(writer, n, 20, padding=500))])
        if not answer.kept:
            assert "quota" in answer.text
            break
        kept += 1
    assert 20 < kept < 120
    assert len(spool.read(Place(0, 0), events=10**9, payload_bytes=10**12)) == kept
    spool.close()


@pytest.fixture(scope="session")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes the n-th write or sync of a spool file fail."""
    if CC is None:
        pytest.skip("no C compiler here")
    library = tmp_path_factory.mktemp("faults") / "faults.so"
    subprocess.run([CC, "-shared", "-fPIC", "-O1", "-o", library, FAULTS, "-ldl"], check=True)
    return library


@pytest.mark.parametrize("call", ["write", "sync"])
@pytest.mark.parametrize("fault", ["eio", "enospc", "short", "kill", "torn"])
def test_a_fault_at_a_write_or_sync_loses_nothing_acknowledged(
    faults: Path, tmp_path: Path, call: str, fault: str
) -> None:
    if call == "sync" and fault in ("short", "torn"):
        pytest.skip("a sync is neither short nor torn")
    struck = 0
    for place in (1, 2, 5, 9, 14, 23, 31):
        folder = tmp_path / f"{place}"
        environment = os.environ | {
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "LD_PRELOAD": str(faults),
            "FAULT": f"{call}:{fault}:{place}",
        }
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(folder)],
            cwd=Path(__file__).parents[2],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        lines = done.stdout.split("\n")
        told = [int(line) for line in lines if line.isdecimal()]
        struck += "fault" in done.stderr
        spool = spool_in(folder)
        items = spool.read(Place(0, 0), events=10**9, payload_bytes=10**12)
        held = [item.frame.sequence for item in items if item.frame.kind == 0]
        assert all(item.proven() for item in items)
        assert set(told) <= set(held), (place, done.stderr)
        assert len(held) == len(set(held))
        spool.close()
        if fault in ("eio", "enospc", "short") and done.returncode == 0:
            assert told == list(range(1, 13)), (place, done.stdout)
    assert struck >= 3
