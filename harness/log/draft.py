"""A segment in the making: batches as they are stored go in, files come out on this machine's disk."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa

from harness.log.event_leaves import control_leaf, event_leaf, identifiers, row_digests
from harness.log.merkle import root_of
from harness.log.part_writer import PartWriter, Written
from harness.log.payload import POSITION, RECORDED_AT, decoded, placed
from harness.log.segments import LEDGER, Key, Unreadable
from harness.log.stored import StoredBatch
from recorders.canonical import canonical_json
from recorders.columns import INSTANT
from recorders.errors import CorruptBatch
from recorders.frame import CONTROL_SCHEMA_DIGEST

# What all files of a segment hold back together before the largest is written on: the memory of sealing.
HELD_BYTES_MAX: Final = 256 * 2**20
LEDGER_SCHEMA: Final = pa.schema(
    [
        POSITION,
        pa.field("events", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("decision_point", pa.string(), nullable=False),
        pa.field("schema_digest", pa.binary(), nullable=False),
        pa.field("writer", pa.binary(), nullable=False),
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("occurred_min", INSTANT),
        pa.field("occurred_max", INSTANT),
        RECORDED_AT,
        pa.field("digest", pa.binary(), nullable=False),
        pa.field("chain", pa.binary(), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
    ]
)
CONTROL_SCHEMA: Final = pa.schema(
    [
        POSITION,
        RECORDED_AT,
        pa.field("type", pa.string(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),
        pa.field("actor", pa.string()),
        pa.field("body", pa.string(), nullable=False),
    ]
)


class Piece(msgspec.Struct, frozen=True):
    """The events of one batch in a part, by a digest over their values."""

    position: int
    events: int
    recorded_us: int
    digest: bytes


class Finished(msgspec.Struct, frozen=True):
    """A part on disk, what it must hold, and the root over its events; the ledger has neither."""

    key: Key
    written: Written
    pieces: tuple[Piece, ...]
    event_root: str


class Draft:
    """Collects the batches of a segment into files of a folder: a ledger, a part for each set of columns."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ledger = PartWriter(folder / "ledger", LEDGER_SCHEMA, opaque=("payload",))
        self._parts: dict[Key, _Part] = {}
        self.unreadable: list[Unreadable] = []
        self.events = 0
        self.batches = 0

    def add(self, batches: Sequence[StoredBatch]) -> None:
        """Take the next batches of the log.

        Raises:
            DigestMismatch: a payload is not what its digest names.
        """
        self._ledger.add(ledger_rows(batches))
        self.batches += len(batches)
        self.events += sum(batch.header.events for batch in batches)
        controls = [batch for batch in batches if batch.header.kind == "control"]
        if controls:
            self._part(_CONTROLS, CONTROL_SCHEMA).add_controls(controls)
        for batch in batches:
            if batch.header.kind != "control":
                self._add_columns(batch)
        self._bound()

    def finish(self) -> tuple[Finished, list[Finished]]:
        """Return the ledger and the parts, in order of their first position."""
        ledger = Finished(Key(LEDGER, "", "", b""), self._ledger.close(), (), "")
        parts = [part.finish(key) for key, part in self._parts.items()]
        return ledger, sorted(parts, key=lambda part: part.written.first)

    def _add_columns(self, batch: StoredBatch) -> None:
        header = batch.header
        try:
            columns = decoded(header.position, header.events, batch.digest, batch.payload)
        except CorruptBatch as error:
            self.unreadable.append(
                Unreadable(header.position, header.events, header.kind, header.decision_point, error.what)
            )
            return
        rows = placed(columns, header.position, header.recorded_at)
        marks = rows.schema.serialize().to_pybytes()
        key = Key(header.kind, header.decision_point, header.schema_digest.hex(), marks)
        self._part(key, rows.schema).add(rows)

    def _part(self, key: Key, schema: pa.Schema) -> "_Part":
        if key not in self._parts:
            self._parts[key] = _Part(self._folder / f"part-{len(self._parts)}", schema)
        return self._parts[key]

    def _bound(self) -> None:
        writers = [self._ledger, *(part.writer for part in self._parts.values())]
        while sum(writer.held_bytes for writer in writers) > HELD_BYTES_MAX:
            max(writers, key=lambda writer: writer.held_bytes).flush()


class _Part:
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.writer = PartWriter(path, schema)
        self._pieces: list[Piece] = []
        self._leaves: list[bytes] = []

    def add(self, rows: pa.RecordBatch) -> None:
        """Take the events of one batch."""
        found = row_digests(rows)
        position = rows.column("position")[0].as_py()
        self._leaves += [
            event_leaf(position + offset, name, row)
            for offset, (name, row) in enumerate(zip(_names(rows), found, strict=True))
        ]
        self._pieces.append(_piece(rows, found))
        self.writer.add(rows)

    def add_controls(self, batches: Sequence[StoredBatch]) -> None:
        """Take control events, each a batch of its own."""
        rows = control_rows(batches)
        self._leaves += [control_leaf(batch.payload, batch.header.position) for batch in batches]
        for offset, found in enumerate(row_digests(rows)):
            self._pieces.append(_piece(rows.slice(offset, 1), [found]))
        self.writer.add(rows)

    def finish(self, key: Key) -> Finished:
        """Return the part on disk."""
        return Finished(key, self.writer.close(), tuple(self._pieces), root_of(self._leaves).hex())


def _names(rows: pa.RecordBatch) -> list[str]:
    return identifiers(rows) if "decision_id" in rows.schema.names else [""] * rows.num_rows


_CONTROLS: Final = Key("control", "", CONTROL_SCHEMA_DIGEST, b"")


def _piece(rows: pa.RecordBatch, digests: Sequence[bytes]) -> Piece:
    return Piece(
        position=rows.column("position")[0].as_py(),
        events=rows.num_rows,
        recorded_us=rows.column("recorded_at")[0].value,
        digest=hashlib.sha256(b"".join(digests)).digest(),
    )


def piece_of(rows: pa.RecordBatch) -> Piece:
    """Return the piece that the rows of one batch are, wherever they were read."""
    return _piece(rows, row_digests(rows))


def control_rows(batches: Sequence[StoredBatch]) -> pa.RecordBatch:
    """Return control events as columns; their body is JSON text."""
    events = [json.loads(batch.payload) for batch in batches]
    columns = {
        "position": [batch.header.position for batch in batches],
        "recorded_at": [batch.header.recorded_at for batch in batches],
        "type": [event["type"] for event in events],
        "subject": [event["subject"] for event in events],
        "actor": [_text(event.get("actor")) for event in events],
        "body": [body_text(event.get("body")) for event in events],
    }
    return pa.RecordBatch.from_pydict(columns, schema=CONTROL_SCHEMA)


def body_text(body: object) -> str:
    """Return the body of a control event as JSON text."""
    return json.dumps(body, ensure_ascii=False)


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else canonical_json(value).decode()


def ledger_rows(batches: Sequence[StoredBatch]) -> pa.RecordBatch:
    """Return batches as rows of a ledger."""
    headers = [batch.header for batch in batches]
    columns = {name: [getattr(header, name) for header in headers] for name in _HEADER}
    columns["writer"] = [header.writer.bytes for header in headers]
    for name in ("digest", "chain", "payload"):
        columns[name] = [getattr(batch, name) for batch in batches]
    return pa.RecordBatch.from_pydict(columns, schema=LEDGER_SCHEMA)


_HEADER: Final = LEDGER_SCHEMA.names[:10]
