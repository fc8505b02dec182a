"""Roots: one hash over a training set's rows, registered in the log once."""

from collections.abc import Iterable, Iterator
from hashlib import sha256

import pyarrow as pa

from harness.log.event_leaves import event_leaf, identifiers, row_digests
from harness.log.log import Log

ROOTED = "training_set.rooted"


def set_root(rows: int, root: bytes) -> bytes:
    """Return what stands for `rows` rows under a root: a path alone does not say how many there are."""
    return sha256(rows.to_bytes(8, "big") + root).digest()


class Leaves:
    """The leaves of a set's rows, taken as they pass."""

    def __init__(self) -> None:
        self.leaves: list[bytes] = []

    def through(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the batches, each when its rows have their leaves."""
        for batch in batches:
            places = batch.column("position").to_pylist()
            known = zip(places, identifiers(batch), row_digests(batch), strict=True)
            self.leaves += [event_leaf(place, name, row) for place, name, row in known]
            yield batch


def register_root(log: Log, name: str, digest: str, root: bytes, rows: int) -> int:
    """Return the position of the event that names the root of a set; it is appended once."""
    found = log.controls(ROOTED, name)
    if found:
        return found[0].position
    body = {"digest": digest, "root": root.hex(), "rows": rows}
    return log.control(ROOTED, name, body, key=f"{ROOTED}:{name}").position
