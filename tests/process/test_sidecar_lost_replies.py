"""The connection between shipper and database ends after any byte of an exchange, in each direction.

The suite cuts at and around the end of every message, and at some bytes in between. All of them:
`python -m tests.process.test_sidecar_lost_replies`.
"""

import argparse
import contextlib
import logging
import random
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from harness.database import create_log
from harness.log.log import Log
from recorders.frame import Frame
from recorders.sidecar.house import House, ship_all
from tests.support import servers
from tests.support.sidecars import FEATURES, arrived, decision_ids, decisions, names, new_writer, settings_in

SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())
LENGTH = 4
AMONG = 40
# So many exchanges in a row are all too short for a cut at the last byte once in hundreds of thousands.
TRIES = 8


class Cutter:
    """A proxy before a PostgreSQL socket. Cuts after `limit` bytes of one direction, and knows messages."""

    def __init__(self, folder: Path, url: str) -> None:
        parts = urlsplit(url)
        target = Path(parse_qs(parts.query)["host"][0])
        (name,) = [path.name for path in target.glob(".s.PGSQL.*") if not path.name.endswith(".lock")]
        self._target = str(target / name)
        self.url = parts._replace(query=f"host={quote(str(folder))}").geturl()
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(folder / name))
        self._server.listen(8)
        self._watches = 0
        self.watch("", None)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def watch(self, direction: str, limit: int | None) -> None:
        """Let so many bytes of a direction pass on the connections to come, and then end one; None: all."""
        self.direction, self.limit, self.cut = direction, limit, False
        self.passed, self.ends = 0, [0]
        self._watches += 1

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target)
            # What an earlier exchange has to say when it is closed is not of this one.
            threading.Thread(target=self._carry, args=(near, far, self._watches), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket, watch: int) -> None:
        """Carry a connection to its end. Thousands were as many open files, while they were kept."""
        with near, far:
            back = threading.Thread(target=self._pump, args=(far, near, "from", watch), daemon=True)
            back.start()
            self._pump(near, far, "to", watch)
            back.join()

    def _pump(self, source: socket.socket, sink: socket.socket, name: str, watch: int) -> None:
        typed = name == "from"  # what a client says first has no type
        with contextlib.suppress(OSError, ValueError), source.makefile("rb") as reader:
            while head := reader.read(LENGTH + typed):
                size = int.from_bytes(head[-LENGTH:], "big") - LENGTH
                message = head + reader.read(size)
                typed = True
                if self.direction != name or self.cut or watch != self._watches:
                    sink.sendall(message)
                    continue
                left = None if self.limit is None else self.limit - self.passed
                self.cut = left is not None and left < len(message)
                sink.sendall(message[:left])
                self.passed += len(message)
                self.ends.append(self.passed)
                if self.cut:
                    break
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._accepting.join(10)
        self._server.close()


class Exchanges:
    """Frames shipped through a cutter one by one, each on a connection of its own."""

    def __init__(self, folder: Path, log: Log) -> None:
        self._log = log
        self._cutter = Cutter(folder, log.url)
        self._house = House(settings_in(folder / "s", self._cutter.url, durability="process"))
        self._writer = new_writer()
        self._told: list[Frame] = []

    def ship(self, direction: str, limit: int | None) -> bool:
        """Ship a frame whose exchange is cut there, and return whether the cut came to be."""
        house = self._house
        frame = decisions(self._writer, len(self._told) + 1)
        (answer,) = house.spool.commit([arrived(frame)], [SCHEMA])
        assert answer.kept
        self._told.append(frame)
        house.shipper.close()  # each exchange with its beginning: the connection, and the question
        house.shipper._asked = False
        self._cutter.watch(direction, limit)
        assert ship_all(house, timeout_s=60), house.shipper.reason
        return self._cutter.cut

    def ends(self, direction: str) -> list[int]:
        """Return where the messages of an exchange that is not cut end."""
        for _ in range(2):  # the first one meets the log, and asks for its name
            self.ship(direction, None)
        return self._cutter.ends

    def cut_at(self, direction: str, limits: Iterable[int], *, tries: int = 1) -> int:
        """Cut exchanges there until `tries` of them are over before a cut. Return how many cuts came to be.

        Nothing is lost by any. Times of day in an exchange are written without their last zeros, so that one
        in five is some bytes shorter than the others.
        """
        cuts = 0
        for limit in limits:
            if not any(self.ship(direction, limit) for _ in range(tries)):
                break
            cuts += 1
        held = Counter(decision_ids(self._log))
        assert held == Counter(names(self._told))
        assert self._house.shipper.counts.duplicates >= (direction == "from")
        self._log.verify()
        return cuts

    def close(self) -> None:
        self._house.close()
        self._cutter.close()


@pytest.mark.parametrize("direction", ["to", "from"])
def test_a_connection_that_ends_after_any_byte_loses_and_doubles_nothing(
    fresh_log: Log, tmp_path: Path, direction: str
) -> None:
    with contextlib.closing(Exchanges(tmp_path, fresh_log)) as exchanges:
        ends = exchanges.ends(direction)
        among = random.Random(direction).sample(range(ends[-1]), AMONG)
        limits = {end + beside for end in ends[:-1] for beside in (-1, 0, 1)} | {ends[-1] - 1, *among}
        limits = sorted(limit for limit in limits if limit >= 0)
        assert exchanges.cut_at(direction, limits, tries=TRIES) == len(limits)
        assert exchanges.cut_at(direction, [10 * ends[-1]]) == 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="Bytes from one cut to the next.")
    step = parser.parse_args().every
    logging.getLogger("recorders").setLevel(logging.CRITICAL)  # it warns of each cut
    with servers.embedded() as server:
        for one_way in ("to", "from"):
            with (
                servers.fresh_database(server) as url,
                create_log(url=url) as made,
                tempfile.TemporaryDirectory() as home,
                contextlib.closing(Exchanges(Path(home), made)) as whole,
            ):
                message_ends = whole.ends(one_way)
                cut = whole.cut_at(one_way, count(step=step))
                assert step * cut >= message_ends[-1] - 8  # numbers in it may be shorter or longer
                print(one_way, "the database:", cut, "cuts,", step, "bytes apart", flush=True)  # noqa: T201
