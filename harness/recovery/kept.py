"""What the store keeps of a log: segments by their manifests, whether the database still knows them or not.

Elsewhere no store is listed to find out what is true. A database that was restored cannot say what was sealed
after its backup; here the chain tells: what a ledger holds continues the log, link by link, or is refused.
"""

import hashlib
import re
from collections.abc import Iterator
from itertools import chain
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from harness.log.part_reader import PartReader
from harness.log.predicate import Wanted
from harness.log.sealed import in_pieces, ledger_batches
from harness.log.segments import LEDGER, File, Manifest
from harness.log.store import Store
from harness.log.stored import StoredBatch
from harness.log.verify import fault
from harness.recovery.errors import HistoriesDiverged, StoreForeign
from harness.segment_errors import SegmentAltered

_NAME: Final = re.compile(r"[^/]+/manifests/([0-9]+)-([0-9]+)-([0-9a-f]{12})\.json")


class KeptSegment(NamedTuple):
    """A segment in the store: its manifest, and the file that this is."""

    manifest: Manifest
    file: File


class KeptSegments:
    """Every segment of a log that its store keeps, in order of position.

    Raises:
        SegmentAltered: a manifest is not what its name says.
        StoreForeign: the store is another log's.
        StoreError: it does not answer.
    """

    def __init__(self, store: Store, log_id: UUID) -> None:
        self._store = store
        self.segments: list[KeptSegment] = []
        for found in store.files(str(log_id)):
            name = _NAME.fullmatch(found.path)
            if name is not None:
                self.segments.append(_manifest(store, log_id, found.path, name))
        self.segments.sort(key=lambda one: (one.manifest.first, -one.manifest.stop))

    def check_store(self, log_id: UUID) -> None:
        """Raise StoreForeign if the store has nothing of this log, and something of another."""
        if self.segments:
            return
        for found in self._store.files():
            owner, mark, rest = found.path.partition("/")
            if mark and rest.startswith("manifests/") and owner != str(log_id):
                raise StoreForeign(self._store.shown, str(log_id), owner)

    def stored(self, start: int, stop: int) -> Iterator[list[StoredBatch]]:
        """Yield the batches that begin in [start, stop), payloads checked, as far as a segment holds them."""
        at = start
        while at < stop:
            holding = [one for one in self.segments if one.manifest.first <= at < one.manifest.stop]
            if not holding:
                return
            best = max(holding, key=lambda one: one.manifest.stop)
            yield from in_pieces(self._batches(best, at, stop))
            at = best.manifest.stop

    def after(self, position: int, link: bytes) -> Iterator[StoredBatch]:
        """Yield the batches that follow the one that ends before `position`, whose chain's digest is `link`.

        Raises:
            HistoriesDiverged: a segment claims the position, with another history.
            SegmentMissing, SegmentAltered, StoreError: a ledger.
        """
        at, before = position, link
        while claims := [one for one in self.segments if one.manifest.first <= at < one.manifest.stop]:
            for one in sorted(claims, key=lambda one: -one.manifest.stop):
                batches = self._batches(one, at, one.manifest.stop)
                first = next(batches, None)
                if first is None or fault(first, at, before):
                    continue
                for batch in chain([first], batches):
                    reason = fault(batch, at, before)
                    if reason:
                        raise SegmentAltered(one.manifest.ledger.path, at, reason)
                    yield batch
                    at, before = batch.stop, batch.chain
                break
            else:
                raise HistoriesDiverged(at, f"the segment {claims[0].manifest.ledger.path}")

    def first_other(self, one: KeptSegment, links: dict[int, bytes]) -> int:
        """Return where a segment first has another history than `links`, the chains by last position."""
        for batch in self._batches(one, one.manifest.first, one.manifest.stop):
            if links.get(batch.stop - 1) != batch.chain:
                return batch.header.position
        return one.manifest.first

    def _batches(self, one: KeptSegment, start: int, stop: int) -> Iterator[StoredBatch]:
        reader = PartReader(self._store, one.manifest.ledger)
        for rows in reader.batches(start, stop, Wanted(LEDGER)):
            yield from ledger_batches(rows)


def _manifest(store: Store, log_id: UUID, path: str, name: re.Match[str]) -> KeptSegment:
    data = store.read(path)
    first, last, short = int(name[1]), int(name[2]), name[3]
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(short):
        raise SegmentAltered(path, first, "its bytes are not those that its name stands for")
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise SegmentAltered(path, first, f"it is no manifest ({error})") from error
    if manifest.log_id != log_id:
        raise StoreForeign(store.shown, str(log_id), str(manifest.log_id))
    paths = [manifest.ledger.path, *(part.path for part in manifest.parts)]
    inside = all(one.startswith(f"{log_id}/") and ".." not in one.split("/") for one in paths)
    if (manifest.first, manifest.stop) != (first, last + 1) or not inside:
        raise SegmentAltered(path, first, "it names other positions or files than its own")
    return KeptSegment(manifest, File(path, len(data), digest))
