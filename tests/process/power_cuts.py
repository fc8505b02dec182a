"""Power cuts after any call of a spool's life, from a trace of `disk_trace.c`. Run under it.

The model: what was written to a file before its last sync is there. Of what came after, any of the writes and
truncations may be there, each whole or torn at 512 or 4,096 bytes. Names (born, renamed, unlinked) come
in order, at least up to the last sync of the folder. A write that is not there leaves what was before it.

`python -m tests.process.test_spool_faults` compiles that and runs this for many states.
"""

import argparse
import collections
import json
import os
import random
import shutil
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support import spool_life

HEAD = struct.Struct("<cqII")
ORACLE = ("told", "log")
SECTORS = (512, 4_096)


class Call(NamedTuple):
    """One call of the trace: w(rite), t(runcate), s(ync), r(ename) or u(nlink)."""

    what: str
    path: str
    at: int
    data: bytes


def calls_in(trace: bytes) -> Iterator[Call]:
    """Yield the calls of a trace in order."""
    place = 0
    while place < len(trace):
        what, at, path_bytes, data_bytes = HEAD.unpack_from(trace, place)
        place += HEAD.size
        path = trace[place : place + path_bytes].decode()
        place += path_bytes
        yield Call(what.decode(), path, at, trace[place : place + data_bytes])
        place += data_bytes


class File:
    """What is on the disk of a file for sure, and what may be."""

    def __init__(self) -> None:
        self.durable = bytearray()
        self.pending: list[Call] = []

    def sync(self) -> None:
        for call in self.pending:
            apply(self.durable, call.what, call.at, call.data)
        self.pending.clear()

    def after_a_cut(self, chance: random.Random) -> bytearray:
        """Return one of the contents that a cut may leave."""
        found = bytearray(self.durable)
        likely = chance.choice((0.0, 0.5, 0.9, 1.0))
        sector = chance.choice((0, *SECTORS))
        for call in self.pending:
            if call.what == "w" and sector and len(call.data) > sector:
                # Torn at whole sectors of the disk, not of the write.
                for at in range(call.at - call.at % sector, call.at + len(call.data), sector):
                    start, stop = max(at, call.at), min(at + sector, call.at + len(call.data))
                    if chance.random() < likely:
                        apply(found, "w", start, call.data[start - call.at : stop - call.at])
            elif chance.random() < likely:
                apply(found, call.what, call.at, call.data)
        return found


def apply(content: bytearray, what: str, at: int, data: bytes) -> None:
    """Do a write or a truncation to a content."""
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    if what == "t":
        del content[at:]
    else:
        content[at : at + len(data)] = data


class Disk:
    """The folder as the calls so far leave it, with what a power cut may leave of that."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._named: dict[str, File] = {}
        self._durable: dict[str, File] = {}
        self._names: list[tuple[str, str, str]] = []
        self._files: dict[str, File] = {}
        self.oracle = {name: bytearray() for name in ORACLE}

    def take(self, call: Call) -> None:
        """Take in the next call of the trace."""
        name = Path(call.path).name
        if name in ORACLE:
            self.oracle[name] += call.data
        elif call.path == self._folder:
            self._durable = dict(self._named)
            self._names.clear()
        elif call.what == "u":
            self._named.pop(name, None)
            self._names.append(("u", name, ""))
        elif call.what == "r":
            to = Path(call.data.decode()).name
            self._named[to] = self._named.pop(name)
            self._names.append(("r", name, to))
        else:
            if name not in self._named:
                self._named[name] = File()
                self._files[f"{len(self._files)}"] = self._named[name]
                self._names.append(("c", name, f"{len(self._files) - 1}"))
            file = self._named[name]
            if call.what == "s":
                file.sync()
            else:
                file.pending.append(call)

    def cut(self, home: Path, chance: random.Random) -> None:
        """Lay out one of the states that a power cut may leave now."""
        named = dict(self._durable)
        for what, name, other in self._names[: chance.randint(0, len(self._names))]:
            if what == "c":
                named[name] = self._files[other]
            elif what == "u":
                named.pop(name, None)
            elif name in named:
                named[other] = named.pop(name)
        (home / "spool").mkdir(parents=True)
        for name, file in named.items():
            (home / "spool" / name).write_bytes(file.after_a_cut(chance))
        for name, content in self.oracle.items():
            (home / name).write_bytes(content)


def traced(root: Path, durability: str) -> list[Call]:
    """Return the calls of a life, lived by a forked process."""
    home = root / "life"
    home.mkdir()
    child = os.fork()
    if child == 0:
        os.environ |= {"TRACE": str(root / "trace"), "TRACED": str(home)}
        spool_life.live(home, durability)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    return list(calls_in((root / "trace").read_bytes()))


def states(root: Path, calls: list[Call], count: int, seed: int) -> Iterator[Path]:
    """Yield `count` folders as cuts leave them, after calls that chance chose; each is removed behind it."""
    chance = random.Random(seed)
    cuts = collections.Counter(chance.choices(range(1, len(calls) + 1), k=count))
    disk = Disk(str(root / "life" / "spool"))
    for number, call in enumerate(calls, start=1):
        disk.take(call)
        for place in range(cuts[number]):
            home = root / f"{number}-{place}"
            disk.cut(home, chance)
            yield home
            shutil.rmtree(home)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--durability", default="power")
    parser.add_argument("--states", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    spool_life.begin()
    place = Path("/dev/shm")  # a file system in memory: thousands of states, none of them kept
    root = Path(tempfile.mkdtemp(prefix="power-cuts-", dir=place if place.is_dir() else None))
    found: collections.Counter[str] = collections.Counter()
    broken: list[str] = []
    try:
        calls = traced(root, given.durability)
        for home in states(root, calls, given.states, given.seed):
            found["states"] += 1
            try:
                left = spool_life.after(home)
            except (AssertionError, OSError, ValueError) as error:
                broken.append(f"{home.name}: {type(error).__name__}: {error}")
                continue
            found["told"] += left.told
            found["lost"] += len(left.lost)
            found["losing"] += bool(left.lost)
            found["twice"] += len(left.twice)
            found["said"] += len(left.said)
            found["in_vain"] += bool(left.beyond)
            if left.lost or left.twice or left.said:
                broken += [f"{home.name}: {left}"] * (given.durability == "power")
    finally:
        shutil.rmtree(root)
    sys.stdout.write(json.dumps({"calls": len(calls), "broken": broken} | found) + "\n")


if __name__ == "__main__":
    main()
