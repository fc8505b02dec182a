"""From files on this machine's disk to files of the store that are known to hold what the log holds."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID

import msgspec

from harness.log.chain import link
from harness.log.draft import Finished, piece_of
from harness.log.part_reader import PartReader
from harness.log.predicate import Wanted
from harness.log.sealed import Sealed, ledger_batches
from harness.log.segments import (
    FORMAT,
    LEDGER,
    File,
    Manifest,
    Part,
    Unreadable,
    ledger_path,
    manifest_path,
    part_path,
)
from harness.log.store import translated
from harness.owned_folder import owned_folder
from harness.segment_errors import SealFailed, SegmentError
from recorders.canonical import canonical_json

Span = tuple[int, int, bytes, bytes]


def publish(
    sealed: Sealed, finished: tuple[Finished, list[Finished]], span: Span, unreadable: Sequence[Unreadable]
) -> tuple[Manifest, File]:
    """Return the manifest of a segment whose files are in the store and compared, and its own file.

    `span` is the first position, the one after the last, and the chain's digests before and after.

    Raises:
        SealFailed: what came back is not what was written.
        StoreError: the store.
    """
    first, stop, before, chain = span
    ledger, parts = finished
    written = [_put(sealed, part) for part in (ledger, *parts)]
    events = _check_ledger(sealed, written[0], span)
    for part, made in zip(written[1:], parts, strict=True):
        _check_part(sealed, part, made)
    manifest = Manifest(
        format=FORMAT,
        log_id=sealed.log_id,
        first=first,
        stop=stop,
        events=events,
        batches=written[0].rows,
        before=before.hex(),
        chain=chain.hex(),
        ledger=written[0],
        parts=tuple(written[1:]),
        unreadable=tuple(unreadable),
    )
    return manifest, _put_manifest(sealed, manifest)


def _put(sealed: Sealed, made: Finished) -> Part:
    """Put one file into the store and return what the manifest says of it."""
    key, written = made.key, made.written
    part = Part(
        kind=key.kind,
        decision_point=key.decision_point,
        schema_digest=key.schema_digest,
        path=_path(sealed.log_id, made),
        first=written.first,
        last=written.last,
        rows=written.rows,
        bytes=written.bytes,
        digest=written.digest,
        event_root=made.event_root,
        footer_bytes=written.footer_bytes,
        footer_digest=written.footer_digest,
        groups=written.groups,
    )
    sealed.store.put(part.path, written.path)
    return part


def _path(log_id: UUID, made: Finished) -> str:
    written = made.written
    if made.key.kind == LEDGER:
        return ledger_path(log_id, written.first, written.last, written.digest)
    return part_path(log_id, made.key, written.first, written.last, written.digest)


def _check_ledger(sealed: Sealed, part: Part, span: Span) -> int:
    """Return how many events the stored ledger counts, after recomputing the chain from what it holds."""
    at, stop, chain, after = span
    events = 0
    try:
        for rows in PartReader(sealed.store, part).batches(at, stop, Wanted(LEDGER)):
            for batch in ledger_batches(rows):
                if batch.header.position != at:
                    raise SealFailed(part.path, f"no batch at position {at}")
                chain = link(chain, batch.header, batch.digest)
                at = batch.stop
                events += batch.header.events
    except SegmentError as error:
        raise SealFailed(part.path, str(error)) from error
    if (at, chain) != (stop, after):
        raise SealFailed(part.path, "batches of another history")
    return events


def _check_part(sealed: Sealed, part: Part, made: Finished) -> None:
    """Compare every event that the stored part holds with what the log holds, by digests over values."""
    pieces = iter(made.pieces)
    for rows in PartReader(sealed.store, part).batches(part.first, part.last + 1, Wanted(part.kind)):
        offset = 0
        while offset < rows.num_rows:
            wanted = next(pieces, None)
            if wanted is None or piece_of(rows.slice(offset, wanted.events)) != wanted:
                at = rows.column("position")[offset].as_py()
                raise SealFailed(part.path, f"other events at position {at}")
            offset += wanted.events
    left = next(pieces, None)
    if left is not None:
        raise SealFailed(part.path, f"nothing at position {left.position}")


@contextmanager
def draft_folder() -> Iterator[Path]:
    """Yield a temporary folder for a segment in the making; one of a process that was killed goes then.

    Raises:
        StoreFull, StoreRefused, StoreUnreachable: it cannot be made.
    """
    with ExitStack() as held:
        with translated(tempfile.gettempdir(), "the segment in the making"):
            folder = held.enter_context(owned_folder("harness-seal-"))
        yield folder


def _put_manifest(sealed: Sealed, manifest: Manifest) -> File:
    data = canonical_json(msgspec.to_builtins(manifest))
    name = hashlib.sha256(data).hexdigest()
    file = File(manifest_path(manifest.log_id, manifest.first, manifest.stop - 1, name), len(data), name)
    with draft_folder() as folder:
        beside = folder / "manifest"
        with translated(str(folder), "the segment in the making"):
            beside.write_bytes(data)
        sealed.store.put(file.path, beside)
    try:
        sealed.file(file, manifest.first)
    except SegmentError as error:
        raise SealFailed(file.path, str(error)) from error
    return file
