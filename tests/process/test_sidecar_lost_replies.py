"""The connection between shipper and database ends after each message of an exchange, in each direction."""

import contextlib
import socket
import threading
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from harness.log.log import Log
from recorders.sidecar.service import House, ship_all
from tests.support.sidecars import FEATURES, arrived, decision_ids, decisions, names, new_writer, settings_in

SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())
LENGTH = 4
MESSAGES_MAX = 200


class Cutter:
    """A proxy before a PostgreSQL socket that knows its messages. Cuts after `limit` of one direction."""

    def __init__(self, folder: Path, url: str) -> None:
        parts = urlsplit(url)
        target = Path(parse_qs(parts.query)["host"][0])
        (name,) = [path.name for path in target.glob(".s.PGSQL.*") if not path.name.endswith(".lock")]
        self._target = str(target / name)
        self.url = parts._replace(query=f"host={quote(str(folder))}").geturl()
        self.direction, self.limit, self.cut = "", 0, False
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(folder / name))
        self._server.listen(8)
        self._opened: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def arm(self, direction: str, limit: int) -> None:
        """Let so many messages of a direction pass, all connections together, and then end them."""
        self.direction, self.limit, self.cut = direction, limit, False

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target)
            self._opened += [near, far]
            for source, sink, name in ((near, far, "to"), (far, near, "from")):
                threading.Thread(target=self._pump, args=(source, sink, name), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, name: str) -> None:
        typed = name == "from"  # what a client says first has no type
        with contextlib.suppress(OSError, ValueError), source.makefile("rb") as reader:
            while head := reader.read(LENGTH + typed):
                if self.direction == name and not self.cut:
                    self.cut = self.limit == 0
                    self.limit -= 1
                    if self.cut:
                        break
                size = int.from_bytes(head[-LENGTH:], "big") - LENGTH
                sink.sendall(head + reader.read(size))
                typed = True
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._accepting.join(10)
        self._server.close()
        for one in self._opened:
            one.close()


@pytest.mark.parametrize("direction", ["to", "from"])
def test_a_connection_that_ends_after_any_message_loses_and_doubles_nothing(
    fresh_log: Log, tmp_path: Path, direction: str
) -> None:
    cutter = Cutter(tmp_path, fresh_log.url)
    house = House(settings_in(tmp_path / "s", cutter.url, durability="process"))
    writer, told, cuts = new_writer(), [], 0
    try:
        for limit in range(MESSAGES_MAX):
            frame = decisions(writer, limit + 1)
            (answer,) = house.spool.commit([arrived(frame)], [SCHEMA])
            assert answer.kept
            told.append(frame)
            house.shipper.close()
            house.shipper._door = None  # each exchange with its beginning
            cutter.arm(direction, limit)
            assert ship_all(house, timeout_s=20), house.shipper.reason
            cutter.direction = ""
            if not cutter.cut:
                break
            cuts += 1
    finally:
        house.close()
        cutter.close()
    assert 5 <= cuts < MESSAGES_MAX - 1
    assert Counter(decision_ids(fresh_log)) == Counter(names(told))
    assert house.shipper.counts.duplicates >= (direction == "from")
    fresh_log.verify()
