"""The socket link by itself: what it imports, what it refuses before it sends, and what a fork does."""

import contextlib
import os
import pickle
import socket
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from recorders.errors import AddressInvalid, CorruptBatch, LinkUnavailable
from recorders.recorder import Recorder
from recorders.sidecar import wire
from recorders.socket_link import SidecarUnavailable, SocketLink
from tests.support.sidecars import FEATURES, decisions, new_writer

ROOT = Path(__file__).parents[2]


def test_a_service_loads_nothing_but_msgspec() -> None:
    # msgspec takes typing_extensions where it is installed, and does without it elsewhere.
    script = """
import sys
before = set(sys.modules)
import recorders.socket_link
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new - set(sys.stdlib_module_names) - {"recorders", "typing_extensions"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['msgspec']"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "unix:",
        "a\0b",
        *("127.0.0.1:7071", "localhost:7071", "[::1]:7071", ":7071"),  # as the sidecar's settings have them
        *(f"tcp://{rest}" for rest in ("", "h", ":1", "h:", "h:0", "h:65536", "h:x", "h:-1")),
    ],
)
def test_an_address_that_cannot_be_is_refused_where_the_link_is_made(address: str) -> None:
    """The recorder's thread died of it, with the first event."""
    with pytest.raises(AddressInvalid, match=r'Write it as "/run/harness-sidecar/door\.sock" or "tcp://127'):
        SocketLink(address, [FEATURES])


def test_an_address_of_version_6_is_connected_to() -> None:
    with contextlib.closing(socket.socket(socket.AF_INET6)) as listening:
        try:
            listening.bind(("::1", 0))
        except OSError:
            pytest.skip("no loopback of version 6 here")
        listening.listen()
        opened = SocketLink(f"tcp://[::1]:{listening.getsockname()[1]}", [FEATURES])._open()
        opened.close()


@pytest.mark.parametrize(
    "change",
    [{"events": 0}, {"events": 70_000}, {"payload": bytes(17 * 2**20)}, {"decision_point": "x" * 201}],
)
def test_a_frame_beyond_the_limits_is_refused_before_it_is_sent(change: dict) -> None:
    frame = decisions(new_writer(), 1)
    values = {name: getattr(frame, name) for name in frame.__struct_fields__} | change
    with pytest.raises(CorruptBatch):
        SocketLink("nowhere", [FEATURES]).send(type(frame)(**values))


def test_unavailable_names_the_sidecar_and_crosses_processes(tmp_path: Path) -> None:
    link = SocketLink(str(tmp_path / "no.sock"), [FEATURES])
    with pytest.raises(LinkUnavailable) as refused:
        link.send(decisions(new_writer(), 1))
    assert "no.sock" in str(refused.value)
    again = pickle.loads(pickle.dumps(refused.value))
    assert (type(again), str(again)) == (SidecarUnavailable, str(refused.value))


GREETED = wire.encode(wire.Welcome(b"spool", 2**20, []))


def marked(*writers: object) -> bytes:
    return wire.message(wire.Type.WELCOME, msgspec.msgpack.encode([b"spool", 2**20, writers]))


@pytest.mark.parametrize(
    "answers",
    [
        [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        [marked([10**12, 1, b""])],
        [marked([b"w", float("inf"), b""])],
        [marked("abc")],
        [wire.message(wire.Type.WELCOME, msgspec.msgpack.encode({}))],
        [GREETED, wire.message(wire.Type.ACK, b"short")],
        [GREETED, wire.message(wire.Type.REFUSED, b"\xc1")],
    ],
)
def test_what_answers_nonsense_is_no_sidecar_and_is_tried_again(tmp_path: Path, answers: list[bytes]) -> None:
    """The recorder's thread died of some of it, and with it recording."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(tmp_path / "door.sock"))
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            for one in answers:
                connection.recv(65_536)
                connection.sendall(one)
            connection.recv(65_536)
            connection.close()

        peer = threading.Thread(target=answer)
        peer.start()
        with pytest.raises(SidecarUnavailable):
            SocketLink(str(tmp_path / "door.sock"), [FEATURES]).send(decisions(new_writer(), 1))
        peer.join()


def test_a_child_begins_anew() -> None:
    link = SocketLink("nowhere", [FEATURES])
    link.aliases.as_sent(decisions(new_writer(), 1))
    read, write = os.pipe()
    if os.fork() == 0:
        with pytest.raises(LinkUnavailable):
            link.send(decisions(new_writer(), 1))
        os.write(write, str(len(link.aliases._of)).encode())
        os._exit(0)
    os.wait()
    assert os.read(read, 10) == b"0"
    assert len(link.aliases._of) == 1
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("cut", [0, 1, 11, 12, 40])
def test_a_message_may_arrive_in_pieces(cut: int) -> None:
    frame = decisions(new_writer(), 1)
    data = wire.encode_frame(frame) * 2
    reader = wire.Reader()
    found = [
        *reader.feed(data[:cut]),
        *(m for at in range(cut, len(data), 7) for m in reader.feed(data[at : at + 7])),
    ]
    assert [wire.decode_frame(body).frame() for _, body in found] == [frame, frame]
    assert not reader.waiting


def test_a_recorder_closes_while_another_waits_for_the_same_sidecar(tmp_path: Path) -> None:
    """The link is shared: its end waited for the other's answer, fifteen seconds beyond the timeout."""
    address = str(tmp_path / "door.sock")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(address)
        silent.listen()
        link = SocketLink(address, [FEATURES])
        waiting = threading.Thread(target=_tried, args=(link,), daemon=True)
        waiting.start()
        held, _ = silent.accept()
        with held:
            recorder = Recorder("p", FEATURES, link, model="m", model_version="1")
            closing = threading.Thread(target=recorder.close, args=(0.1,), daemon=True)
            closing.start()
            closing.join(5.0)
            assert not closing.is_alive()
            assert waiting.is_alive(), "the frame under way is left alone"
        waiting.join(30.0)


def _tried(link: SocketLink) -> None:
    with contextlib.suppress(LinkUnavailable):
        link.send(decisions(new_writer(), 1))


def test_a_link_that_is_closed_twice_at_once_does_not_wait_for_itself(tmp_path: Path) -> None:
    """A signal handler closed what the interrupted code was closing: neither went on."""
    link = SocketLink(str(tmp_path / "no.sock"), [FEATURES])
    with link._lock:  # as the interrupted code holds it
        closing = threading.Thread(target=link.close, daemon=True)
        closing.start()
        closing.join(5.0)
        assert not closing.is_alive()
