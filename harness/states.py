"""What models that remember knew at positions of the log: kept by content in the store, named in the log."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from harness.log.log import Log
from harness.replay_errors import StateAltered
from harness.segment_errors import StoreError
from recorders.canonical import canonical_json, digest
from recorders.errors import WriterForked
from replay.model import ModelInfo

KEPT = "state.kept"


class Kept(msgspec.Struct, frozen=True):
    """A snapshot: what the model with `model_digest` knew after all decisions of a point up to `through`.

    `since` is the first position that it observed; `path` is in the store, `sha256` of its bytes.
    """

    model_digest: str
    decision_point: str
    since: int
    through: int
    sha256: str
    bytes: int
    path: str


def keep(log: Log, info: ModelInfo, decision_point: str, through: int, state: bytes) -> Kept | None:
    """Put a snapshot into the store, then its name into the log; return None where it is not kept.

    A snapshot only saves the time to observe again: a store that cannot take it harms nothing. One made of
    what is kept encrypted is never kept: an erasure would not reach it.
    """
    fields = (field for feature_set in log.feature_sets().values() for field in feature_set.fields)
    if any(field.sealed and field.name in info.inputs for field in fields):
        return None
    sha256 = hashlib.sha256(state).hexdigest()
    path = f"states/{info.digest}/{sha256}"
    kept = Kept(info.digest, decision_point, since_of(info), through, sha256, len(state), path)
    try:
        with tempfile.NamedTemporaryFile() as held:
            held.write(state)
            held.flush()
            log.sealed.store.put(path, Path(held.name))
    except (StoreError, OSError):
        return None
    place = {"model": info.digest, "point": decision_point, "since": kept.since, "through": through}
    # Another worker was there before; its snapshot may be written otherwise, and knows the same.
    with suppress(WriterForked):
        key = f"{KEPT}:{digest(canonical_json(place))}"
        log.control(KEPT, f"{info.name}:{info.version}", msgspec.to_builtins(kept), key=key)
    return kept


def newest_first(log: Log, info: ModelInfo, decision_point: str, *, before: int) -> Iterator[Kept]:
    """Yield the snapshots of a model from before a position, the one that knows most first."""
    events = log.controls(KEPT, f"{info.name}:{info.version}")
    kept = [msgspec.convert(event.body, Kept) for event in events]
    own = (info.digest, decision_point, since_of(info))
    mine = [k for k in kept if (k.model_digest, k.decision_point, k.since) == own and k.through < before]
    yield from sorted(mine, key=lambda one: -one.through)


def fetch(log: Log, kept: Kept) -> bytes | None:
    """Return the bytes of a snapshot, None when the store does not have them any more or does not answer.

    Raises:
        StateAltered: they are others.
    """
    try:
        state = log.sealed.store.read(kept.path)
    except (FileNotFoundError, StoreError):
        return None
    if hashlib.sha256(state).hexdigest() != kept.sha256:
        raise StateAltered(kept.path, kept.through)
    return state


def since_of(info: ModelInfo) -> int:
    """Return the first position that a model observes: what it was trained on, its artefact knows."""
    return 1 if info.trained_until is None else info.trained_until + 1
