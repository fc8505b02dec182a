"""Whole files of segments against the digests that they were registered with."""

import hashlib
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from harness.log.part_writer import chunk_ranges
from harness.log.sealed import Sealed
from harness.log.segments import DIGEST_BYTES, Part, Segment
from harness.log.store import Store
from harness.segment_errors import SegmentAltered, SegmentMissing

_BYTES_AT_ONCE: Final = 8 * 2**20


def check_files(sealed: Sealed, start: int, stop: int) -> int:
    """Return how many segments touch [start, stop), after reading every byte of theirs.

    Raises:
        SegmentMissing, SegmentAltered: the first file that is not as it was registered, and where.
        StoreError: the store does not answer.
    """
    touched = [one for one in sealed.segments() if one.first < stop and one.stop > start]
    for segment in touched:
        check_segment(sealed, segment)
    return len(touched)


def check_segment(sealed: Sealed, segment: Segment) -> None:
    """Read every byte of a segment, from the store and not from what was kept of it.

    Raises:
        SegmentMissing, SegmentAltered, StoreError: as above.
    """
    sealed.file(segment.manifest, segment.first)
    manifest = sealed.manifest(segment)
    for part in (manifest.ledger, *manifest.parts):
        if _digest(sealed.store, part) != part.digest:
            raise SegmentAltered(part.path, _first_altered(sealed.store, part), "its digest is another")


def _digest(store: Store, part: Part) -> str:
    """Return the SHA-256 of a file; of one with another size, none that could be right."""
    found, at = hashlib.sha256(), 0
    try:
        while at < part.bytes + 1:
            data = store.read(part.path, at, at + _BYTES_AT_ONCE)
            found.update(data)
            at += len(data)
            if len(data) < _BYTES_AT_ONCE:
                break
    except FileNotFoundError as error:
        raise SegmentMissing(store.shown, part.path, part.first) from error
    return found.hexdigest() if at == part.bytes else ""


def _first_altered(store: Store, part: Part) -> int:
    """Return the first position whose bytes are not what was sealed; the part's own if it cannot be told."""
    data = store.read(part.path, size=part.bytes)
    footer = data[len(data) - part.footer_bytes :]
    if len(data) != part.bytes or hashlib.sha256(footer).hexdigest() != part.footer_digest:
        return part.first
    metadata = pq.read_metadata(pa.BufferReader(data))
    for number, group in enumerate(part.groups):
        found = "".join(
            hashlib.sha256(data[start:stop]).digest()[:DIGEST_BYTES].hex()
            for start, stop in chunk_ranges(metadata, number)
        )
        if found != group.chunks:
            return group.first
    return part.first
