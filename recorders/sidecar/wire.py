"""Wire: how a service and its sidecar talk over a byte stream. Standard library and msgspec alone.

Every message is a prefix (magic, version, type, bytes of the body, CRC-32 over all of it) and a body. Frames
and acknowledgements have fixed headers, because there are many; all else is msgpack. What arrives is a
stranger's until the prefix, the checksum and the limits hold.
"""

import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from recorders.errors import HarnessError
from recorders.frame import Frame, Kind

MAGIC: Final = b"HR"
VERSION: Final = 1
PREFIX: Final = struct.Struct(">2sBBII")
BODY_BYTES_MAX: Final = 16 * 2**20
EVENTS_MAX: Final = 65_536
DECISION_POINT_BYTES_MAX: Final = 200
# Writer, sequence, events, kind, bytes of the decision point, schema digest, payload digest.
FRAME_HEADER: Final = struct.Struct(">16sQIBB32s32s")
# Writer, sequence, payload digest, 1 when the spool held it already.
ACK_BODY: Final = struct.Struct(">16sQ32sB")
KINDS: Final[tuple[Kind, ...]] = ("decision", "outcome", "loss")
NO_SCHEMA: Final = bytes(32)


class Type(IntEnum):
    """What a message is. Services send the odd ones, the sidecar the even ones.

    BYE has no body: the service ends its connection on purpose. Whoever goes without it may have been killed.
    """

    HELLO = 1
    WELCOME = 2
    SCHEMA = 3
    ACK = 4
    FRAME = 5
    REFUSED = 6
    ASK = 7
    MARKS = 8
    BYE = 9


class Known(msgspec.Struct, array_like=True, frozen=True):
    """How far a service knows a writer acknowledged; `digest` of the last frame (32 bytes or none)."""

    writer: bytes
    sequence: int
    digest: bytes


class Hello(msgspec.Struct, array_like=True, frozen=True):
    """The first message of a service: who it is and what it knows of its writers."""

    service: str
    pid: int
    token: str
    writers: list[Known]


class Ask(msgspec.Struct, array_like=True, frozen=True):
    """A service asks how far the spool holds its writers, before it sends again."""

    writers: list[Known]


class Marks(msgspec.Struct, array_like=True, frozen=True):
    """How far the spool holds each writer that was asked for."""

    writers: list[Known]


class Welcome(msgspec.Struct, array_like=True, frozen=True):
    """The sidecar's answer to a hello. `spool` names the spool."""

    spool: bytes
    body_bytes_max: int
    writers: list[Known]


class Refused(msgspec.Struct, array_like=True, frozen=True):
    """A frame that was not kept, and why: see REASONS. `have` is the last sequence that the spool holds."""

    writer: bytes
    sequence: int
    reason: str
    have: int
    text: str


# What the service does: wait and send again; announce and send again; go back; take a new writer; count the
# loss; wait until somebody gives it the token (the answer to its hello, and to no frame).
REASONS: Final = ("full", "draining", "schema", "gap", "forked", "invalid", "token")


class Arrived(NamedTuple):
    """A frame as the door and the spool handle it: digests as 32 bytes, the payload untouched."""

    writer: bytes
    sequence: int
    kind: int
    decision_point: str
    schema: bytes
    events: int
    digest: bytes
    payload: bytes

    def frame(self) -> Frame:
        """Return it as the frame that the service made."""
        schema = "" if self.schema == NO_SCHEMA else self.schema.hex()
        return Frame(
            writer=UUID(bytes=self.writer),
            sequence=self.sequence,
            kind=KINDS[self.kind],
            decision_point=self.decision_point,
            schema_digest=schema,
            events=self.events,
            payload=self.payload,
            digest=self.digest.hex(),
        )


class WireError(HarnessError):
    """Bytes that are no message of ours. The connection is closed; nothing was taken from it."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The peer sent {what}.",
            "Expected the messages of this wire, version 1.",
            "Check that both ends are recorders of this version.",
        )
        self.what = what


class WrongToken(WireError):  # noqa: N818  # the name says what happened
    """A service that has another token than the sidecar, or none."""

    def __init__(self) -> None:
        HarnessError.__init__(
            self,
            "A service sent a wrong token.",
            "Expected the one that HARNESS_SIDECAR_TOKEN holds here.",
            "Give it to the service: SocketLink(..., token=...).",
        )
        self.what = "a wrong token"


def message(kind: Type, body: bytes) -> bytes:
    """Return one message: prefix and body.

    >>> len(message(Type.ASK, b""))
    12
    """
    start = PREFIX.pack(MAGIC, VERSION, kind, len(body), 0)[:8]
    return start + zlib.crc32(body, zlib.crc32(start)).to_bytes(4, "big") + body


def encode(body: Hello | Ask | Marks | Welcome | Refused) -> bytes:
    """Return the message that carries `body`."""
    return message(_TYPES[type(body)], msgspec.msgpack.encode(body))


def encode_frame(frame: Frame) -> bytes:
    """Return the message that carries `frame`: the same bytes each time it is sent."""
    point = frame.decision_point.encode()
    header = FRAME_HEADER.pack(
        frame.writer.bytes,
        frame.sequence,
        frame.events,
        KINDS.index(frame.kind),
        len(point),
        bytes.fromhex(frame.schema_digest) or NO_SCHEMA,
        bytes.fromhex(frame.digest),
    )
    # Built at once: a payload has megabytes, and each join would copy it.
    size = len(header) + len(point) + len(frame.payload)
    start = PREFIX.pack(MAGIC, VERSION, Type.FRAME, size, 0)[:8]
    check = zlib.crc32(frame.payload, zlib.crc32(point, zlib.crc32(header, zlib.crc32(start))))
    return b"".join((start, check.to_bytes(4, "big"), header, point, frame.payload))


def decode_frame(body: bytes) -> Arrived:
    """Return the frame that a body holds, its header within the limits. The payload is not looked into.

    Raises:
        WireError: the header is short, or a value in it is out of range.
    """
    size = FRAME_HEADER.size
    if len(body) < size:
        raise WireError(f"a frame of {len(body)} bytes")
    writer, sequence, events, kind, point_bytes, schema, digest = FRAME_HEADER.unpack_from(body)
    stop = size + point_bytes
    if not 1 <= sequence < 2**63 or not 1 <= events <= EVENTS_MAX or kind >= len(KINDS):
        raise WireError(f"a frame with sequence {sequence}, {events} events, kind {kind}")
    if point_bytes > DECISION_POINT_BYTES_MAX or len(body) <= stop:
        raise WireError(
            f"a frame whose decision point has {point_bytes} bytes and payload {len(body) - stop}"
        )
    try:
        point = body[size:stop].decode()
    except UnicodeDecodeError as error:
        raise WireError("a decision point that is not UTF-8") from error
    if "\0" in point:
        raise WireError("a decision point with a zero byte")
    return Arrived(writer, sequence, kind, point, schema, events, digest, body[stop:])


class Reader:
    """Cuts a byte stream into messages. Holds at most one incomplete message."""

    def __init__(self, body_bytes_max: int = BODY_BYTES_MAX) -> None:
        self._buffer = bytearray()
        self._body_bytes_max = body_bytes_max

    @property
    def waiting(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[tuple[Type, bytes]]:
        """Yield the type and body of each message that `data` completes.

        Raises:
            WireError: the stream is not ours, damaged, or a message is longer than allowed.
        """
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= PREFIX.size:
                magic, version, kind, size, check = PREFIX.unpack_from(self._buffer, start)
                self._check_prefix(magic, version, kind, size)
                stop = start + PREFIX.size + size
                if len(self._buffer) < stop:
                    break
                body = bytes(memoryview(self._buffer)[start + PREFIX.size : stop])
                if zlib.crc32(body, zlib.crc32(self._buffer[start : start + 8])) != check:
                    raise WireError("a message whose checksum does not match")
                start = stop
                yield Type(kind), body
        finally:
            del self._buffer[:start]

    def _check_prefix(self, magic: bytes, version: int, kind: int, size: int) -> None:
        if magic != MAGIC:
            raise WireError(f"a message that begins with {magic!r}")
        if version != VERSION:
            raise WireError(f"a message of version {version}")
        if kind not in Type.__members__.values():
            raise WireError(f"a message of type {kind}")
        if size > self._body_bytes_max:
            raise WireError(f"a message of {size} bytes, {self._body_bytes_max} are allowed")


def decode(kind: Type, body: bytes) -> Hello | Ask | Marks | Welcome | Refused:
    """Return what a msgpack body holds.

    Raises:
        WireError: it is not what the message's type says.
    """
    struct_type = _BODIES.get(kind)
    if struct_type is None:
        raise WireError(f"a message {kind.name} where none is expected")
    try:
        return msgspec.msgpack.decode(body, type=struct_type)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise WireError(f"a {kind.name} that cannot be read ({error})") from error


_BODIES: Final[dict[Type, type[Hello | Ask | Marks | Welcome | Refused]]] = {
    Type.HELLO: Hello,
    Type.ASK: Ask,
    Type.MARKS: Marks,
    Type.WELCOME: Welcome,
    Type.REFUSED: Refused,
}
_TYPES: Final = {struct_type: kind for kind, struct_type in _BODIES.items()}
