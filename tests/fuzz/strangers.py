"""Strangers: one input is what one of them sends to a door, and what must hold then.

A target ends with an answer, a closed connection or a refusal of ours; any other exception is a finding.
`make fuzz` lets atheris look for one, with an environment of its own.
"""

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from recorders import hotpath
from recorders.columns import to_batch
from recorders.doors.bodies import parse_json
from recorders.doors.errors import Unreadable
from recorders.doors.heads import Form
from recorders.doors.mapping import Pick
from recorders.doors.picks import Picks
from recorders.errors import CorruptBatch, FeatureSetError
from recorders.fields import FIELD_TYPES, FeatureSet, Field
from recorders.frame import payload_of
from recorders.sealing import seal
from recorders.sidecar import wire
from recorders.sidecar.compose import compose
from recorders.sidecar.ops import REQUEST_BYTES_MAX, Ops
from recorders.sidecar.salvage import Stored
from recorders.transpose import transpose
from tests.support.doors import CASES, requests_of
from tests.support.doors_house import House, Wire
from tests.support.sidecars import decisions, losses, new_writer, outcomes
from tests.support.subjects import PERSON, SHOP, HeldKeys

Target = Callable[[bytes], None]
EVERY = FeatureSet("every", 1, tuple(Field(f"a_{place}", kind) for place, kind in enumerate(FIELD_TYPES)))
DIGEST = bytes.fromhex(EVERY.digest)
KEYS = HeldKeys()
SPELLED = (
    *((b"Host", b"h"), (b"Content-Length", b"2"), (b"ce-id", b"1"), (b"Authorization", b"Bearer x")),
    *((b"ce-source", b"/"), (b"ce-specversion", b"1.0")),
    (b"ce-type", b"org.kubeflow.serving.inference.request"),
)
FORM = Form(b"POST", b"/", SPELLED, binary=True)
PLACES = ("event.id", "event.none", "input[0]", "input[-1][0]", "event.id[0]", '"0"', "[0]")
PICKS = Picks([*(Pick((place,)) for place in PLACES), Pick(PLACES[1:], "all"), Pick()])


def native(data: bytes) -> None:
    """The wire of services: any stream is messages, or a WireError."""
    reader = wire.Reader(2**16)
    try:
        for kind, body in reader.feed(data):
            if kind is wire.Type.FRAME:
                wire.decode_frame(body)
            elif kind is wire.Type.SCHEMA:
                FeatureSet.from_json(body)
            elif kind is not wire.Type.BYE and kind is not wire.Type.ACK:
                wire.decode(kind, body)
    except (wire.WireError, FeatureSetError):
        pass


def bodies(data: bytes) -> None:
    """What lies behind a right checksum: hello, marks, feature sets."""
    for kind in (wire.Type.HELLO, wire.Type.ASK, wire.Type.WELCOME, wire.Type.REFUSED):
        try:
            wire.decode(kind, data)
        except wire.WireError:
            continue
    with contextlib.suppress(wire.WireError):
        wire.decode_frame(data)


def frames(data: bytes) -> None:
    """A frame's payload: a batch, or put aside with its reason; never an exception that ends the shipper."""
    if len(data) < 2:
        return
    kind, events, payload = data[0] % 3, 1 + data[1] % 3, data[2:]
    if not payload:
        return
    schema = DIGEST if kind == 0 else wire.NO_SCHEMA
    frame = wire.Arrived(bytes(16), 1, kind, "p", schema, events, hashlib.sha256(payload).digest(), payload)
    drafts, unusable = compose([Stored(1, 1, frame, 0.0)], {DIGEST: EVERY.canonical()}.get, target_events=100)
    assert drafts or unusable or kind == wire.KINDS.index("loss")
    if kind == 0 and drafts:
        compiled, schema = hotpath.transpose, to_batch(frame.frame(), EVERY).schema
        try:
            for hotpath.transpose in (compiled, None):  # type: ignore[misc]  # as where nothing is compiled
                quick = transpose(payload, events, schema)
                assert quick is None or to_batch(frame.frame(), EVERY).columns == quick
        finally:
            hotpath.transpose = compiled  # type: ignore[misc]  # as it was


def persons(data: bytes) -> None:
    """A frame of persons: both cuts make the same of it, or refuse it, and no other error."""
    compiled = hotpath.cut
    found: list[bytes | None] = []
    try:
        for hotpath.cut in (compiled, None):  # type: ignore[misc]  # as where nothing is compiled
            try:
                found.append(seal(data, SHOP, KEYS))
            except CorruptBatch:
                found.append(None)
    finally:
        hotpath.cut = compiled  # type: ignore[misc]  # as it was
    assert found[0] == found[1]


def heads(data: bytes) -> None:
    """A head: compiled and in Python the same is found in it, a half too, or nothing is."""
    compiled, found = hotpath.read_request, []
    try:
        for hotpath.read_request in (compiled, None):  # type: ignore[misc]  # as where nothing is compiled
            found.append(FORM.read(data[1:], min(data[0], len(data) - 1)) if data else None)
    finally:
        hotpath.read_request = compiled  # type: ignore[misc]  # as it was
    assert found[0] == found[1]


def picks(data: bytes) -> None:
    """A document: the compiled search and the Python one find the very same objects in it."""
    try:
        document = parse_json(data)
    except Unreadable:
        return
    compiled, found = hotpath.find_values, []
    try:
        for hotpath.find_values in (compiled, None):  # type: ignore[misc]  # as where nothing is compiled
            found.append(PICKS.find(document))
    finally:
        hotpath.find_values = compiled  # type: ignore[misc]  # as it was
    assert all(one is other for one, other in zip(*found, strict=True))


@contextlib.contextmanager
def http() -> Iterator[Target]:
    """The HTTP doors, from bytes on a connection to an answer: each input comes in two pieces."""
    loop = asyncio.new_event_loop()

    async def opened(folder: Path) -> House:
        return House(folder)

    async def received(data: bytes) -> None:
        stranger = Wire(house.reception)
        cut = data[0] if data else 0
        stranger.feed(data[1 : 1 + cut])
        stranger.feed(data[1 + cut :])
        await house.desk.commit()
        house.reception.sweep(loop.time() + 3_600)
        stranger.close()

    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        house = loop.run_until_complete(opened(Path(folder)))
        try:
            yield lambda data: loop.run_until_complete(received(data))
        finally:
            loop.run_until_complete(house.desk.close())
            loop.close()


class Listener:
    """What the operator's port writes to."""

    def __init__(self) -> None:
        self.sent = b""
        self.transport = self

    def write(self, data: bytes) -> None:
        self.sent += data

    async def drain(self) -> None:
        return

    def close(self) -> None:
        return

    abort = close


@contextlib.contextmanager
def ops() -> Iterator[Target]:
    """The operator's port: an answer of its own, or a closed connection; and nobody is let in by chance."""
    loop = asyncio.new_event_loop()
    drained: list[bytes] = []
    status = {"disk": {"refusal": ""}, "ship": {"state": "shipping", "reason": ""}}
    served = Ops(lambda: status, lambda: drained.append(b""), "a token that nobody knows")

    async def received(data: bytes) -> None:
        reader, listener = asyncio.StreamReader(REQUEST_BYTES_MAX), Listener()
        reader.feed_data(data)
        reader.feed_eof()
        await served.serve(reader, listener, operator=False)  # type: ignore[arg-type]  # what it uses of one
        first = listener.sent.partition(b"\r\n")[0]
        allowed = (b"HTTP/1.1 401 Unauthorized", b"HTTP/1.1 200 OK" if b"/healthz" in data else b"")
        assert first in (b"", *allowed), first
        assert not drained

    try:
        yield lambda data: loop.run_until_complete(received(data))
    finally:
        loop.close()


TARGETS: dict[str, Callable[[], contextlib.AbstractContextManager[Target]]] = {
    "native": lambda: contextlib.nullcontext(native),
    "bodies": lambda: contextlib.nullcontext(bodies),
    "frames": lambda: contextlib.nullcontext(frames),
    "persons": lambda: contextlib.nullcontext(persons),
    "heads": lambda: contextlib.nullcontext(heads),
    "picks": lambda: contextlib.nullcontext(picks),
    "http": http,
    "ops": ops,
}


SEEDS = {
    "persons": [payload_of([msgspec.msgpack.encode(PERSON)] * 2)],
    "heads": [
        b"\x00" + b"\r\n".join([b"POST / HTTP/1.1", *(b"%s: %s" % one for one in SPELLED), b"", b"{}"])
    ],
    "picks": [b'{"event":{"id":"x","none":null},"input":[6.5,[2]]}'],
    "ops": [b"GET /healthz HTTP/1.1\r\n\r\n", b"POST /drain HTTP/1.1\r\nauthorization: Bearer x\r\n\r\n"],
}


def seeds(target: str) -> list[bytes]:
    """Return inputs that are right, to begin with."""
    writer = new_writer()
    sent = [decisions(writer, 1, 2), outcomes(writer, 2), losses(writer, 3, 7)]
    messages = [wire.encode_frame(frame) for frame in sent]
    hello = wire.encode(wire.Hello("s", 1, "", [wire.Known(writer.bytes, 3, bytes(32))]))
    if target == "native":
        return [hello + wire.message(wire.Type.SCHEMA, EVERY.canonical()) + b"".join(messages)]
    if target == "bodies":
        return [one[wire.PREFIX.size :] for one in (hello, *messages)]
    if target == "frames":
        return [bytes([place, frame.events - 1]) + frame.payload for place, frame in enumerate(sent)]
    if target in SEEDS:
        return SEEDS[target]
    found = []
    for case in CASES:
        for path, headers, body in requests_of(case) if (case / "capture.json").exists() else ():
            lines = [b"POST " + path.encode() + b" HTTP/1.1", b"content-length: %d" % len(body)]
            head = b"\r\n".join([*lines, *(b"%s: %s" % one for one in headers)])
            found.append(b"\x40" + head + b"\r\n\r\n" + body)
    return found
