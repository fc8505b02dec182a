"""What a segment is: a closed range of positions as files, described by a manifest and registered in the log.

A manifest names every file with its digest; a control event names the manifest by its digest, so that what
was sealed stands under the chain. docs/adr/0021 says why there are two kinds of file: `parts` hold the events
of one decision point, kind and schema as columns, the `ledger` holds the batches as they were appended.
"""

from typing import Any, Final
from uuid import UUID

import msgspec

from harness.log.point_names import file_name

FORMAT: Final = "segment/1"
SEALED: Final = "log.sealed"
RELEASED: Final = "log.released"
SWEPT: Final = "log.swept"
LEDGER: Final = "batch"
DIGEST_BYTES: Final = 16


class RowGroup(msgspec.Struct, frozen=True):
    """Rows of a file that are read together. `chunks`: 16 bytes of SHA-256 for each column chunk, as hex."""

    rows: int
    first: int
    last: int
    chunks: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One Parquet file. `first` and `last` are the positions of its first and last row.

    `event_root` is the RFC 6962 root over the leaves of its events in order, "" for the ledger. Everything
    that is not in a column chunk is in the footer, whose last `footer_bytes` have `footer_digest`.
    """

    kind: str
    decision_point: str
    schema_digest: str
    path: str
    first: int
    last: int
    rows: int
    bytes: int
    digest: str
    event_root: str
    footer_bytes: int
    footer_digest: str
    groups: tuple[RowGroup, ...]


class Unreadable(msgspec.Struct, frozen=True):
    """A batch that is in the ledger as it was appended, and in no part: its writer made it unreadable."""

    position: int
    events: int
    kind: str
    decision_point: str
    fault: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All of a segment: positions [first, stop), the chain before and after it, and its files."""

    format: str
    log_id: UUID
    first: int
    stop: int
    events: int
    batches: int
    before: str
    chain: str
    ledger: Part
    parts: tuple[Part, ...]
    unreadable: tuple[Unreadable, ...]


class File(msgspec.Struct, frozen=True):
    """A file of the store by its digest."""

    path: str
    bytes: int
    digest: str


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A part as the registration lists it: enough to find it, and to prove an event in it."""

    kind: str
    decision_point: str
    schema_digest: str
    path: str
    first: int
    last: int
    rows: int
    bytes: int
    digest: str
    event_root: str


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A registered segment: the body of `log.sealed`.

    `replaces` are the numbers of those that it was compacted from. `store` says where it was sealed into, for
    an error message: harness.toml says where to read it.
    """

    format: str
    first: int
    stop: int
    events: int
    batches: int
    before: str
    chain: str
    store: str
    manifest: File
    ledger: File
    parts: tuple[Listed, ...]
    replaces: tuple[int, ...] = ()
    number: int = 0
    position: int = 0

    @classmethod
    def of(cls, manifest: Manifest, file: File, store: str, replaces: tuple[int, ...]) -> "Segment":
        """Return the registration of a manifest that lies in `file`."""
        ledger = manifest.ledger
        return cls(
            format=manifest.format,
            first=manifest.first,
            stop=manifest.stop,
            events=manifest.events,
            batches=manifest.batches,
            before=manifest.before,
            chain=manifest.chain,
            store=store,
            manifest=file,
            ledger=File(ledger.path, ledger.bytes, ledger.digest),
            parts=tuple(
                Listed(**{name: getattr(part, name) for name in Listed.__struct_fields__})
                for part in manifest.parts
            ),
            replaces=replaces,
        )

    def body(self) -> dict[str, Any]:
        """Return what the control event holds: all but where that event is."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return {name: value for name, value in found.items() if name not in {"number", "position"}}

    def paths(self) -> list[str]:
        """Return every file of the segment."""
        return [self.manifest.path, self.ledger.path, *(part.path for part in self.parts)]


class Key(msgspec.Struct, frozen=True):
    """What the events of one part have in common. `marks`: the Arrow schema with its metadata, serialized."""

    kind: str
    decision_point: str
    schema_digest: str
    marks: bytes


def part_path(log_id: UUID, key: Key, first: int, last: int, digest: str) -> str:
    """Return where a part lies. With the digest in it the name is that of the content: none is written over.

    >>> part_path(UUID(int=1), Key("decision", "fraud/eu", "ab", b""), 1, 99, "c0ffee" * 8)
    '00000000-0000-0000-0000-000000000001/segments/fraud%2Feu/decision/ab/1-99-c0ffeec0ffee.parquet'
    """
    # Control events have no decision point, and lie in `_`.
    folder = f"{log_id}/segments/{file_name(key.decision_point) or '_'}/{key.kind}/{key.schema_digest}"
    return f"{folder}/{first}-{last}-{digest[:12]}.parquet"


def ledger_path(log_id: UUID, first: int, last: int, digest: str) -> str:
    """Return where the ledger of a segment lies."""
    return f"{log_id}/ledgers/{first}-{last}-{digest[:12]}.parquet"


def manifest_path(log_id: UUID, first: int, last: int, digest: str) -> str:
    """Return where the manifest of a segment lies."""
    return f"{log_id}/manifests/{first}-{last}-{digest[:12]}.json"
