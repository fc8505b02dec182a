"""The native door under strangers, cuts at every byte, clones of services, and stops."""

import contextlib
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorders.errors import LinkUnavailable
from recorders.sidecar import wire
from recorders.sidecar.outbox import Outbox
from recorders.sidecar.settings import address, load
from recorders.socket_link import SocketLink
from tests.support.sidecars import FEATURES, Running, decisions, new_writer, spool_in, until

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
DOOR = "[door]\nhello_s = 0.5\nmessage_s = 1.0\n"


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A sidecar without a database: the door and the spool do not need one."""
    tcp = f'tcp = "127.0.0.1:{random.randrange(20_000, 30_000)}"\n'
    with Running(tmp_path_factory.mktemp("door") / "spool", NOWHERE, DOOR + tcp) as running:
        yield running


def connected(sidecar: Running, *, tcp: bool = False) -> socket.socket:
    if tcp:
        host, port = address(load(sidecar.config, {}).door.tcp)
        return socket.create_connection((host, port), 5)
    opened = socket.socket(socket.AF_UNIX)
    opened.settimeout(5)
    opened.connect(sidecar.address)
    return opened


def hello() -> bytes:
    return wire.encode(wire.Hello("t", 1, "", [])) + wire.message(wire.Type.SCHEMA, FEATURES.canonical())


def ended(opened: socket.socket) -> bool:
    """Whether the far end closes, whatever it says before that."""
    try:
        while opened.recv(65_536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def still_serves(sidecar: Running) -> None:
    link = SocketLink(sidecar.address, [FEATURES])
    assert not link.send(decisions(new_writer(), 1)).duplicate
    link.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=12, max_size=400), greeted=st.booleans(), tcp=st.booleans())
def test_garbage_ends_its_connection_and_no_other(
    sidecar: Running, data: bytes, greeted: bool, tcp: bool
) -> None:
    with connected(sidecar, tcp=tcp) as opened:
        opened.sendall((hello() if greeted else b"") + data)
        opened.shutdown(socket.SHUT_WR)
        assert ended(opened)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_frame_is_never_acknowledged(sidecar: Running, place: int, bit: int) -> None:
    data = bytearray(wire.encode_frame(decisions(new_writer(), 1)))
    data[place % len(data)] ^= 1 << bit
    with connected(sidecar) as opened:
        opened.sendall(hello() + bytes(data))
        opened.shutdown(socket.SHUT_WR)
        answers = b""
        try:
            while found := opened.recv(65_536):
                answers += found
        except ConnectionError:
            pass
        kinds = [kind for kind, _ in wire.Reader().feed(answers)]
        assert wire.Type.ACK not in kinds


@pytest.mark.parametrize(
    "body",
    [b"", b"\xc1", b"\x93\x01", b"\x94\xa1x\x01\xa0\x91\x93\xc4\x01x\x01\xc4\x00", b"\xdd\xff\xff\xff\xff"],
)
@pytest.mark.parametrize("kind", list(wire.Type))
def test_every_message_may_be_nonsense(sidecar: Running, kind: wire.Type, body: bytes) -> None:
    with connected(sidecar) as opened:
        opened.sendall(hello() + wire.message(kind, body))
        opened.shutdown(socket.SHUT_WR)
        assert ended(opened)


def test_after_all_that_it_serves(sidecar: Running) -> None:
    still_serves(sidecar)
    assert sidecar.process is not None
    assert sidecar.process.poll() is None


@pytest.mark.parametrize("said", [b"", b"HR\x01", hello()[:20], hello() + b"HR\x01\x05\x00\x00\xff\xff"])
@pytest.mark.parametrize("tcp", [False, True])
def test_slow_loris_is_cut_off(sidecar: Running, said: bytes, tcp: bool) -> None:
    with connected(sidecar, tcp=tcp) as opened:
        opened.sendall(said)
        started = time.monotonic()
        opened.settimeout(10)
        assert ended(opened)
        assert time.monotonic() - started < 6
    still_serves(sidecar)


def test_a_silent_service_after_its_hello_may_stay(sidecar: Running) -> None:
    with connected(sidecar) as opened:
        opened.sendall(hello())
        opened.settimeout(2.5)
        assert opened.recv(65_536)
        with pytest.raises(TimeoutError):
            opened.recv(1)


def test_more_connections_than_allowed_are_turned_away(tmp_path: Path) -> None:
    with Running(tmp_path / "spool", NOWHERE, "[door]\nconnections = 2\n") as running:
        kept = [connected(running) for _ in range(2)]
        for one in kept:
            one.sendall(hello())
            assert one.recv(65_536)
        with connected(running) as third:
            assert ended(third)
        for one in kept:
            one.close()


class Cutter:
    """Stands between a link and the sidecar, and cuts one connection after so many bytes of a direction."""

    def __init__(self, folder: Path, target: str) -> None:
        self.address = str(folder / "cut.sock")
        self._target = target
        self._watches = 0
        self.watch({})
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self.address)
        self._server.listen(8)
        threading.Thread(target=self._accept, daemon=True).start()

    def watch(self, limits: dict[str, int]) -> None:
        """Count from now on, on the connections to come: an earlier one's goodbye is not of this exchange."""
        self.limits, self.passed = limits, {"to": 0, "from": 0}
        self._watches += 1

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target)
            for a, b, name in ((near, far, "to"), (far, near, "from")):
                threading.Thread(target=self._pump, args=(a, b, name, self._watches), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, name: str, watch: int) -> None:
        try:
            while data := source.recv(65_536):
                if watch != self._watches:
                    sink.sendall(data)
                    continue
                limit = self.limits.get(name)
                self.passed[name] += len(data)
                if limit is not None and self.passed[name] > limit:
                    del self.limits[name]
                    sink.sendall(data[: len(data) - (self.passed[name] - limit)])
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._server.close()


@pytest.mark.parametrize("direction", ["to", "from"])
def test_a_reply_lost_at_every_byte_is_asked_for_again(
    sidecar: Running, tmp_path: Path, direction: str
) -> None:
    """Every byte of an exchange is once the last one that passes; each frame is kept once."""
    cutter = Cutter(tmp_path, sidecar.address)
    link = SocketLink(cutter.address, [FEATURES])
    writer = new_writer()
    sequence = cuts = 0
    for limit in range(2_000):
        link.close()  # each exchange with its hello
        cutter.watch({direction: limit})
        sequence += 1
        frame = decisions(writer, sequence, 2)
        while True:
            try:
                link.send(frame)
            except LinkUnavailable:
                cuts += 1
            else:
                break
        if cutter.limits:
            break  # the exchange was over before its cut
    whole = bool(cutter.limits)
    link.close()
    cutter.close()
    assert whole, "an exchange has more bytes than were tried"
    assert cuts == limit >= 60
    assert link.aliases.forked == link.aliases.rewound == 0
    assert sidecar.run("inspect").returncode == 0
    again = SocketLink(sidecar.address, [FEATURES])
    assert again.send(decisions(writer, sequence, 2)).duplicate
    assert not again.send(decisions(writer, sequence + 1, 2)).duplicate
    again.close()


def test_a_cloned_service_goes_on_under_a_writer_of_its_own(tmp_path: Path) -> None:
    """As after a resumed snapshot: two processes that believe to be one writer. Neither loses a frame."""
    folder = tmp_path / "spool"
    writer = new_writer()
    with Running(folder, NOWHERE) as running:
        original = SocketLink(running.address, [FEATURES])
        clone = SocketLink(running.address, [FEATURES])
        for link in (original, clone):
            for n in range(1, 6):
                link.send(decisions(writer, n))
        for n in range(6, 9):
            original.send(decisions(writer, n, salt="original"))
        for n in range(6, 9):
            clone.send(decisions(writer, n, salt="clone"))
        assert (original.aliases.forked, clone.aliases.forked) == (0, 1)
        original.close()
        clone.close()
        assert running.run("status").stdout.count('"forked": 1') == 1


def test_a_spool_that_lost_what_it_acknowledged_is_told_and_told_of(tmp_path: Path) -> None:
    """The folder was emptied: the service says what it knows, takes a new writer, the loss is reported."""
    folder = tmp_path / "spool"
    running = Running(folder, NOWHERE)
    with running:
        link = SocketLink(running.address, [FEATURES])
        writer = new_writer()
        for n in range(1, 6):
            link.send(decisions(writer, n))
        running.kill()
        for path in folder.glob("*box-*"):
            path.unlink()
        running.start()
        for n in range(6, 9):
            while True:
                try:
                    link.send(decisions(writer, n))
                except LinkUnavailable:
                    time.sleep(0.02)
                else:
                    break
        assert link.aliases.rewound == 1
        link.close()
        running.stop()
    outbox = Outbox(folder, segment_bytes=2**20)
    spool = spool_in(folder, composed=outbox.composed)
    items = [item.frame for item in spool.read(outbox.composed, events=10**6, payload_bytes=10**9)]
    batches = [outbox.read(n).batch for n in range(1, outbox.state.last_ordinal + 1)]
    texts = [f.payload for f in items if f.kind == 3] + [b.payload for b in batches if b.kind == "control"]
    assert len(texts) == 1
    assert b'"sequences":[1,5]' in texts[0]
    assert str(writer).encode() in texts[0]
    spool.close()
    outbox.close()


def test_a_stopped_sidecar_is_waited_for_and_nothing_is_sent_twice(tmp_path: Path) -> None:
    with Running(tmp_path / "spool", NOWHERE) as running:
        link = SocketLink(running.address, [FEATURES])
        writer = new_writer()
        link.send(decisions(writer, 1))
        assert running.process is not None
        os.kill(running.process.pid, signal.SIGSTOP)
        threading.Timer(1.5, os.kill, (running.process.pid, signal.SIGCONT)).start()
        started = time.monotonic()
        assert not link.send(decisions(writer, 2)).duplicate
        assert time.monotonic() - started > 1
        link.close()


def test_loopback_needs_the_token_when_one_is_set(tmp_path: Path) -> None:
    port = random.randrange(20_000, 30_000)
    environment = {"HARNESS_SIDECAR_TOKEN": "right"}
    with Running(tmp_path / "spool", NOWHERE, f'[door]\ntcp = "127.0.0.1:{port}"\n', environment) as running:
        wrong = SocketLink(f"tcp://127.0.0.1:{port}", [FEATURES], token="wrong")
        with pytest.raises(
            LinkUnavailable, match=r"SocketLink\(token=...\) takes what HARNESS_SIDECAR_TOKEN"
        ):
            wrong.send(decisions(new_writer(), 1))
        wrong.close()
        until(lambda: "Give it to the service: SocketLink(..., token=...)." in running.log.read_text(), 20)
        right = SocketLink(f"tcp://127.0.0.1:{port}", [FEATURES], token="right")
        assert right.send(decisions(new_writer(), 1)).position == 1
        right.close()
        assert (tmp_path / "spool" / "door.sock").stat().st_mode & 0o777 == 0o660
        assert (tmp_path / "spool" / "ops.sock").stat().st_mode & 0o777 == 0o600
        assert running.stop() == 0
