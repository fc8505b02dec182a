"""What was sealed: the listing, which is a projection of control events, and the files that it names."""

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from functools import cached_property

import msgspec
import pyarrow as pa

from harness.config import StorePlace
from harness.log.chain import Header
from harness.log.connection import Connection
from harness.log.controls import NAMESPACE
from harness.log.merge import ahead, merged
from harness.log.part_reader import PartReader
from harness.log.payload import check
from harness.log.predicate import Wanted
from harness.log.queries import query
from harness.log.segments import FORMAT, LEDGER, SEALED, File, Manifest, Segment
from harness.log.store import Store
from harness.log.stored import BYTES_MAX, StoredBatch
from harness.segment_errors import ListingBroken, SegmentAltered, SegmentMissing, StoreUnknown
from recorders.errors import CorruptBatch

MANIFESTS_KEPT = 64


class Sealed:
    """The segments of one log. The store is opened when a file of it is first needed. For one thread."""

    def __init__(self, connection: Connection, place: StorePlace | None) -> None:
        self._connection = connection
        self._place = place
        self._segments: list[Segment] = []
        self._manifests: dict[str, Manifest] = {}
        self.number = 0

    @cached_property
    def store(self) -> Store:
        """Where the files are.

        Raises:
            StoreUnknown: nowhere, or nowhere that can be used.
        """
        if self._place is None:
            raise StoreUnknown("of this log", "none was named", "Open the log by its folder.")
        return Store(self._place.url, self._place.options, timeout_s=self._place.timeout_s)

    @cached_property
    def log_id(self) -> uuid.UUID:
        """Which log this is."""
        found: uuid.UUID = self._connection.row(query("head"))[4]
        return found

    def belongs_to(self, log_id: uuid.UUID) -> None:
        """Take which log this is from who has just asked, unless it is known."""
        self.__dict__.setdefault("log_id", log_id)

    @property
    def writer(self) -> uuid.UUID:
        """The writer of all registrations: its sequence says which were known to who registers the next."""
        return sealer(self.log_id)

    @property
    def covers(self) -> bool:
        """Whether the store fails apart from the database."""
        return self._place is not None and self._place.covers

    def segments(self) -> Sequence[Segment]:
        """Return the registered segments in order of position, as the log has them now.

        Raises:
            ListingBroken: they do not follow each other from position 1.
        """
        rows = self._connection.rows(query("registrations"), writer=self.writer, after=self.number)
        for number, position, digest, payload in rows:
            check(position, digest, payload)
            event = msgspec.json.decode(payload)
            if event["type"] == SEALED:
                self._take(_segment(event["body"], number, position), position)
            self.number = number
        return self._segments

    def stop(self) -> int:
        """Return the first position that is not sealed."""
        listed = self.segments()
        return listed[-1].stop if listed else 1

    def manifest(self, segment: Segment) -> Manifest:
        """Return all of a segment.

        Raises:
            SegmentMissing, SegmentAltered, StoreError: its file in the store.
        """
        known = self._manifests.get(segment.manifest.digest)
        if known is None:
            known = msgspec.json.decode(self.file(segment.manifest, segment.first), type=Manifest)
            if len(self._manifests) >= MANIFESTS_KEPT:
                self._manifests.pop(next(iter(self._manifests)))
            self._manifests[segment.manifest.digest] = known
        return known

    def file(self, file: File, first: int) -> bytes:
        """Return a whole file, checked; `first` is a position that it stands for."""
        try:
            data = self.store.read(file.path, size=file.bytes)
        except FileNotFoundError as error:
            raise SegmentMissing(self.store.shown, file.path, first) from error
        if len(data) != file.bytes or hashlib.sha256(data).hexdigest() != file.digest:
            raise SegmentAltered(file.path, first, "its digest is another")
        return data

    def read(self, start: int, stop: int, wanted: Wanted) -> Iterator[pa.RecordBatch]:
        """Yield the sealed events in [start, stop) that are wanted, in order of position, some at a time.

        A segment that is compacted while it is read is read on in the one that replaced it.

        Raises:
            SegmentMissing, SegmentAltered, StoreError: the files.
            CorruptBatch: a batch is as it was appended, and cannot be read.
        """
        at = start
        while at < stop:
            segment = self._holding(at)
            if segment is None:
                return
            try:
                for batch in ahead(self._read(segment, at, stop, wanted)):
                    yield batch
                    at = batch.column("position")[-1].as_py() + 1
            except SegmentMissing:
                self.segments()
                if self._holding(at) == segment:
                    raise
                continue
            at = segment.stop

    def stored(self, start: int, stop: int) -> Iterator[list[StoredBatch]]:
        """Yield the sealed batches that begin in [start, stop) as they were appended, payloads checked."""
        for segment in self.segments():
            if segment.stop <= start or segment.first >= stop:
                continue
            reader = PartReader(self.store, self.manifest(segment).ledger)
            for rows in reader.batches(start, stop, Wanted(LEDGER)):
                yield from in_pieces(ledger_batches(rows))

    def _read(self, segment: Segment, start: int, stop: int, wanted: Wanted) -> Iterator[pa.RecordBatch]:
        manifest = self.manifest(segment)
        garbled = [
            one
            for one in manifest.unreadable
            if wanted.holds(one.kind, one.decision_point)
            if one.position < stop and one.position + one.events > start
        ]
        end = garbled[0].position if garbled else stop
        streams = [
            PartReader(self.store, part).batches(start, end, wanted)
            for part in manifest.parts
            if wanted.holds(part.kind, part.decision_point)
            if part.first < end and part.last >= start
        ]
        yield from merged(streams)
        if garbled:
            raise CorruptBatch(garbled[0].fault, position=garbled[0].position)

    def _holding(self, position: int) -> Segment | None:
        return next((one for one in self._segments if one.first <= position < one.stop), None)

    def _take(self, segment: Segment, position: int) -> None:
        """Put one registration into the listing."""
        if segment.format != FORMAT:
            raise ListingBroken(position, f"its format is {segment.format!r}")
        for path in segment.paths():
            if not path.startswith(f"{self.log_id}/") or ".." in path.split("/"):
                raise ListingBroken(position, f"{path} is no place for a file of this log")
        kept = [one for one in self._segments if one.number not in segment.replaces]
        gone = [one for one in self._segments if one.number in segment.replaces]
        if segment.replaces:
            fits = len(gone) == len(segment.replaces) and (
                segment.first,
                segment.stop,
                segment.before,
                segment.chain,
            ) == (
                gone[0].first,
                gone[-1].stop,
                gone[0].before,
                gone[-1].chain,
            )
        else:
            last = self._segments[-1] if self._segments else None
            fits = segment.first == (last.stop if last else 1) and segment.stop > segment.first
            fits = fits and (last is None or last.chain == segment.before)
        if not fits:
            raise ListingBroken(
                position, f"[{segment.first}, {segment.stop}) does not follow what was sealed before"
            )
        self._segments = sorted([*kept, segment], key=lambda one: one.first)


def sealer(log_id: uuid.UUID) -> uuid.UUID:
    """Return the writer under which everything about segments is said."""
    return uuid.uuid5(NAMESPACE, f"{SEALED}:{log_id}")


def _segment(body: object, number: int, position: int) -> Segment:
    try:
        found = msgspec.convert(body, Segment)
    except msgspec.ValidationError as error:
        raise ListingBroken(position, str(error)) from error
    return msgspec.structs.replace(found, number=number, position=position)


def ledger_batches(rows: pa.RecordBatch) -> Iterator[StoredBatch]:
    """Yield the batches that rows of a ledger are; each payload is checked against its digest."""
    for row in rows.to_pylist():
        check(row["position"], row["digest"], row["payload"])
        header = Header(**{name: row[name] for name in _HEADER} | {"writer": uuid.UUID(bytes=row["writer"])})
        yield StoredBatch(header, row["digest"], row["chain"], row["payload"])


_HEADER = Header.__struct_fields__


def in_pieces(batches: Iterator[StoredBatch]) -> Iterator[list[StoredBatch]]:
    """Yield batches some at a time, as many as fit into a bounded memory."""
    held: list[StoredBatch] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += len(batch.payload)
        if size >= BYTES_MAX:
            yield held
            held, size = [], 0
    if held:
        yield held
