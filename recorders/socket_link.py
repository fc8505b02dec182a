"""The socket link: frames go to the sidecar beside the service; its word is that they are on disk."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from recorders.aliases import Aliases
from recorders.errors import AddressInvalid, AppendError, CorruptBatch, HarnessError, LinkUnavailable
from recorders.fields import FeatureSet
from recorders.frame import Frame, Receipt
from recorders.sidecar import wire
from recorders.sidecar.wire import Type, WireError

CONNECT_S: Final = 2.0
ANSWER_S: Final = 15.0
# After a pause of this length the sidecar is asked how far it is, before anything is sent again.
LONG_STOP_S: Final = 60.0
BYE_S: Final = 0.2
PORT_MAX: Final = 65_535
# Frames that may be under way at once: less than the sidecar remembers digests of.
WINDOW: Final = 64


class SidecarUnavailable(LinkUnavailable):
    """The sidecar did not answer, or cannot keep anything now. Sending the same again is safe."""

    def __init__(self, address: str, what: str) -> None:
        HarnessError.__init__(
            self,
            f"The sidecar at {address} did not keep a frame: {what}.",
            "Expected an answer that it is on disk.",
            "See `harness sidecar status`; the recorder sends it again by itself.",
        )
        self.what = what
        self.address = address


class SocketForbidden(SidecarUnavailable):
    """The sidecar's socket is closed to the user that the service runs as."""

    def __init__(self, address: str, what: str) -> None:
        HarnessError.__init__(
            self,
            f"The socket {address} is closed to user {os.geteuid()}: {what}.",
            "Expected one that this user may connect to, in a folder that it may pass.",
            "Put it into the socket's group, and the socket (door.socket) elsewhere than into the spool.",
        )
        self.what, self.address = what, address


class Tally(msgspec.Struct):
    """What the link went through: connections, and frames that were found kept already."""

    connected: int = 0
    found: int = 0


class SocketLink:
    """Sends frames to the sidecar at `address`: the path of its UNIX socket, or `tcp://127.0.0.1:port`.

    A receipt from here has epoch 0: the frame is on the sidecar's disk, its place in the log is not known
    yet; `position` is the frame's own sequence. May serve several recorders.

    Raises:
        AddressInvalid: an address that no sidecar can have.
    """

    def __init__(
        self, address: str, feature_sets: Sequence[FeatureSet], *, service: str = "", token: str = ""
    ) -> None:
        self._address = address
        self._host_port = _host_port(address)
        self._feature_sets = {feature_set.digest: feature_set for feature_set in feature_sets}
        self._service = service
        self._token = token
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._reader = wire.Reader()
        self._queue: list[tuple[Type, bytes]] = []
        self.aliases = Aliases()
        self._spoke_at = 0.0
        self.tally = Tally()

    def send(self, frame: Frame) -> Receipt:
        """Return the receipt of `frame` once the sidecar has it on disk.

        Raises:
            LinkUnavailable: no answer, or no room; send the same frame again.
            AppendError: the frame cannot be used, or its feature set is unknown here.
        """
        return self.send_many((frame,))[0]

    def send_many(self, frames: Sequence[Frame]) -> list[Receipt]:
        """Return the receipts of up to WINDOW frames that are under way together, in order."""
        assert 1 <= len(frames) <= WINDOW, len(frames)
        for frame in frames:
            self._check(frame)
        if self._pid != os.getpid():
            self._forget_parent()
        with self._lock:
            try:
                return self._exchange(frames)
            except PermissionError as error:
                self._drop()
                raise SocketForbidden(self._address, str(error)) from error
            except (OSError, WireError) as error:
                self._drop()
                raise SidecarUnavailable(self._address, str(error)) from error
            except SidecarUnavailable:
                # Answers to the frames behind the refused one may still come: they must not meet later
                # frames.
                self._drop()
                raise

    @property
    def address(self) -> str:
        """Where the sidecar listens, the path in full: a recorder that is killed leaves word of it there."""
        if self._host_port is not None:
            return self._address
        return str(Path(self._address.removeprefix("unix:")).absolute())

    def close(self) -> None:
        """Close the connection, and say so. A later `send` opens it again.

        Does not wait for a frame that is under way, another recorder's perhaps: then it stays open.
        """
        if self._pid != os.getpid() or not self._lock.acquire(timeout=BYE_S):
            return
        try:
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.settimeout(BYE_S)
                    self._socket.sendall(wire.message(Type.BYE, b""))
            self._drop()
        finally:
            self._lock.release()

    # Inside.

    def _check(self, frame: Frame) -> None:
        if frame.kind == "decision" and frame.schema_digest not in self._feature_sets:
            labels = ", ".join(one.label for one in self._feature_sets.values()) or "none"
            raise AppendError(
                f"Frame {frame.sequence} of {frame.decision_point} has schema {frame.schema_digest[:12]}.",
                f"Expected one that the link was given: {labels}.",
                "Pass the recorder's feature set to SocketLink.",
            )
        point = len(frame.decision_point.encode())
        size = wire.FRAME_HEADER.size + point + len(frame.payload)
        if size > wire.BODY_BYTES_MAX or not 1 <= frame.events <= wire.EVENTS_MAX:
            raise CorruptBatch(f"frame {frame.sequence} has {frame.events} events in {size} bytes")
        if point > wire.DECISION_POINT_BYTES_MAX:
            raise CorruptBatch(f"its decision point has {point} bytes")

    def _exchange(self, frames: Sequence[Frame]) -> list[Receipt]:
        connection = self._connected(frames)
        receipts: dict[int, Receipt] = {}
        # A renewed writer is told once a send; a second time means that nothing helps now.
        for _ in range(3):
            under_way = [self.aliases.as_sent(frame) for frame in frames]
            connection.sendall(b"".join(wire.encode_frame(frame) for frame in under_way))
            renewed = False
            for frame, sent in zip(frames, under_way, strict=True):
                answer = self._answer_to(connection, sent)
                if isinstance(answer, wire.Refused):
                    if not renewed:
                        self._renew(frame, answer)
                    renewed = True
                else:
                    self.aliases.kept(frame, sent)
                    receipts[id(frame)] = _receipt(sent, duplicate=answer)
            if not renewed:
                self._spoke_at = time.monotonic()
                return [receipts[id(frame)] for frame in frames]
            frames = [frame for frame in frames if id(frame) not in receipts]
        raise SidecarUnavailable(self._address, "it refuses every writer")

    def _renew(self, frame: Frame, refused: wire.Refused) -> None:
        """Go on under a new writer, or say why not."""
        if refused.reason == "invalid":
            raise CorruptBatch(refused.text)
        if not self.aliases.renew(frame, refused.reason):
            raise SidecarUnavailable(self._address, refused.text)

    # The connection.

    def _connected(self, frames: Sequence[Frame]) -> socket.socket:
        """Return the connection, after the sidecar was asked how far it is if that may not be known."""
        if self._socket is None:
            self._socket = self._open()
            self._reader = wire.Reader()
            hello = wire.Hello(self._service, os.getpid(), self._token, self.aliases.known())
            self._socket.sendall(wire.encode(hello))
            self._compare(Type.WELCOME, self._receive(self._socket, Type.WELCOME), frames)
            for feature_set in self._feature_sets.values():
                self._socket.sendall(wire.message(Type.SCHEMA, feature_set.canonical()))
            self.tally.connected += 1
        elif time.monotonic() - self._spoke_at > LONG_STOP_S:
            self._socket.sendall(wire.encode(wire.Ask(self.aliases.known())))
            self._compare(Type.MARKS, self._receive(self._socket, Type.MARKS), frames)
        return self._socket

    def _open(self) -> socket.socket:
        if self._host_port is not None:
            opened = socket.create_connection(self._host_port, CONNECT_S)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                opened.settimeout(CONNECT_S)
                opened.connect(str(Path(self._address.removeprefix("unix:"))))
            except OSError:
                opened.close()
                raise
        opened.settimeout(ANSWER_S)
        return opened

    def _compare(self, kind: Type, body: bytes, frames: Sequence[Frame]) -> None:
        """Renew each writer that the sidecar does not hold as far as it had acknowledged, or otherwise."""
        marks = wire.decode(kind, body)
        assert isinstance(marks, wire.Welcome | wire.Marks), marks
        held = {one.writer: (one.sequence, one.digest) for one in marks.writers}
        self.aliases.compare(held, frames)

    def _answer_to(self, connection: socket.socket, sent: Frame) -> "bool | wire.Refused":
        """Return whether the sidecar held the frame already, or its refusal."""
        while True:
            kind, body = self._message(connection)
            if kind is Type.ACK:
                if len(body) != wire.ACK_BODY.size:
                    raise WireError(f"an acknowledgement of {len(body)} bytes")
                writer, sequence, digest, duplicate = wire.ACK_BODY.unpack(body)
                if (writer, sequence) == (sent.writer.bytes, sent.sequence):
                    if digest.hex() != sent.digest:
                        raise WireError("an acknowledgement of other bytes")
                    self.tally.found += duplicate
                    return bool(duplicate)
            elif kind is Type.REFUSED:
                refused = wire.decode(kind, body)
                assert isinstance(refused, wire.Refused), refused
                if (refused.writer, refused.sequence) == (sent.writer.bytes, sent.sequence):
                    return refused

    def _receive(self, connection: socket.socket, wanted: Type) -> bytes:
        while True:
            kind, body = self._message(connection)
            if kind is wanted:
                return body
            if kind is Type.REFUSED:
                refused = wire.decode(kind, body)
                assert isinstance(refused, wire.Refused), refused
                raise SidecarUnavailable(self._address, refused.text)

    def _message(self, connection: socket.socket) -> tuple[Type, bytes]:
        found = self._queue
        while not found:
            data = connection.recv(262_144)
            if not data:
                raise ConnectionResetError("it closed the connection")
            found.extend(self._reader.feed(data))
        return found.pop(0)

    def _drop(self) -> None:
        self._queue = []
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _forget_parent(self) -> None:
        """Begin anew after a fork: the parent goes on with its connection and its writers."""
        inherited = self._socket
        self._begin()
        if inherited is not None:
            inherited.close()  # this process's copy of it alone


def _host_port(address: str) -> tuple[str, int] | None:
    """Return host and port of a TCP address, None for a path.

    >>> _host_port("tcp://[::1]:7071")
    ('::1', 7071)
    """
    if not address.startswith("tcp://"):
        path, (_, colon, port) = address.removeprefix("unix:"), address.rpartition(":")
        # Host and port alone are what the sidecar's settings have: as a path they name a file that never is.
        bare = "/" not in address and colon and port.isdecimal()
        if not path or "\0" in path or bare:
            raise AddressInvalid(address)
        return None
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    if not host or not (port.isascii() and port.isdecimal() and 1 <= int(port) <= PORT_MAX):
        raise AddressInvalid(address)
    return host.strip("[]"), int(port)


def _receipt(sent: Frame, *, duplicate: bool) -> Receipt:
    return Receipt(epoch=0, position=sent.sequence, digest="", covered=0, duplicate=duplicate)
