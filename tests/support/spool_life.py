"""One life of a spool, inbox and outbox, under whatever is done to its disk; and what is left of it after.

The log is a file beside the spool that is never harmed: another machine. `told` holds the sequences that the
spool acknowledged: the oracle.
"""

import contextlib
import os
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import msgspec

from recorders.append import Batch
from recorders.errors import HarnessError
from recorders.frame import Frame
from recorders.sidecar import segment
from recorders.sidecar.house import House, ship_all
from recorders.sidecar.stamp import Stamp
from tests.support.fake_log import FakeLog
from tests.support.sidecars import FEATURES, arrived, decisions, names, settings_in

FRAMES = 14
WRITER = UUID(int=5)
SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())
# Small, so that a short life goes through checkpoints and several files.
WAL_BYTES = 96 * 1024
SEGMENT_BYTES = 98_304
_PREFIX = 4


class After(NamedTuple):
    """What a spool that was opened again delivered: frames lost though acknowledged, events twice.

    `said` are the reasons of the losses that it reports. Of the frames that they name, `beyond` are more than
    those lost and the one in hand: that may have been kept, and lost, before anybody was told of it.
    """

    told: int
    lost: list[int]
    twice: list[str]
    said: list[str]
    beyond: int


def frame(sequence: int) -> Frame:
    """Return the frame of a sequence: the same whenever it is sent."""
    return decisions(WRITER, sequence, 2, padding=1_200)


def opened(home: Path, durability: str) -> House:
    """Return the house in `home`, with the log beside it. Never waits: it composes at once."""
    settings = settings_in(home / "spool", durability=durability, segment_bytes=SEGMENT_BYTES)
    house = House(settings, log_in(home).door)
    house.shipper.draining = True
    return house


def begin() -> None:
    """Make this process one for lives: small write-ahead logs, and a folder that may be moved about."""
    segment.WAL_BYTES = WAL_BYTES  # type: ignore[misc]  # a constant of the product, small for the test
    Stamp.place = property(lambda _: "here", lambda *_: None)  # type: ignore[assignment]  # likewise


def live(home: Path, durability: str = "power") -> None:
    """Keep frames, compose and ship them, and say what was acknowledged. Goes on after what can be borne."""
    house = opened(home, durability)
    with (home / "told").open("ab", buffering=0) as told:
        for sequence in range(1, FRAMES + 1):
            for _ in range(4):
                (answer,) = house.spool.commit([arrived(frame(sequence))], [SCHEMA])
                if answer.kept:
                    told.write(sequence.to_bytes(_PREFIX, "big"))
                    break
                house.spool.tick()
            if sequence % 4 == 0:
                for _ in range(3):
                    house.shipper.step()
    ship_all(house, timeout_s=5)
    house.close()


def told_in(home: Path) -> list[int]:
    """Return the sequences that the spool acknowledged."""
    path = home / "told"
    data = path.read_bytes() if path.exists() else b""
    return [int.from_bytes(data[at : at + _PREFIX], "big") for at in range(0, len(data), _PREFIX)]


def log_in(home: Path) -> FakeLog:
    """Return the log beside a spool, with all that it took so far; what it takes is written there."""
    path, batches = home / "log", []
    data = path.read_bytes() if path.exists() else b""
    while data:
        size = int.from_bytes(data[:_PREFIX], "big")
        batches.append(msgspec.msgpack.decode(data[_PREFIX : _PREFIX + size], type=Batch))
        data = data[_PREFIX + size :]

    def appended(batch: Batch) -> None:
        body = msgspec.msgpack.encode(batch)
        with path.open("ab", buffering=0) as file:
            file.write(len(body).to_bytes(_PREFIX, "big") + body)

    return FakeLog(batches, appended)


def after(home: Path) -> After:
    """Open what is left, ship it, and return what that brought and what not."""
    told = told_in(home)
    house = opened(home, "power")
    try:
        assert ship_all(house, timeout_s=10), house.shipper.reason
    finally:
        house.close()
    log = log_in(home)
    held = Counter(log.held())
    missing = [one for one in range(1, FRAMES + 1) if not all(held[name] for name in names([frame(one)]))]
    lost = [sequence for sequence in told if sequence in missing]
    in_hand = max(told, default=0) + 1 in missing
    bodies = [msgspec.json.decode(one.payload)["body"] for one in log.batches if one.kind == "control"]
    named = [body.get("frames") for body in bodies]
    beyond = max(sum(filter(None, named)) - len(lost) - in_hand, 0) + (0 if lost else named.count(None))
    twice = [name for name, count in held.items() if count > 1]
    return After(len(told), lost, twice, [body["reason"] for body in bodies], beyond)


def live_in_child(home: Path, fault: str) -> str:
    """Let a forked process live with a fault of `disk_faults.c`; return how that ended."""
    child = os.fork()
    if child == 0:
        os.environ["FAULT"] = fault
        with (home / "ended").open("w") as ended:
            try:
                live(home)
            except (OSError, sqlite3.Error, HarnessError, AssertionError) as error:
                ended.write(f"{type(error).__name__}: {error}")
        os._exit(0)
    end = time.monotonic() + 60
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            break
        assert time.monotonic() < end, f"{fault} hangs"
        time.sleep(0.001)
    if os.WIFSIGNALED(status):
        return "killed"
    with contextlib.suppress(FileNotFoundError):
        return (home / "ended").read_text()
    return ""
