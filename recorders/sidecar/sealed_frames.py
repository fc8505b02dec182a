"""Sealed frames: in the spool, a frame with sensitive fields holds them encrypted, and proves itself.

A frame keeps the digest that its service gave it, by which a repeated one is known. Its payload then is
0xc1, which begins no msgpack value, the SHA-256 of the rest, and the rest: the rows with their fields sealed.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from recorders.errors import CorruptBatch, FeatureSetError, LinkUnavailable
from recorders.fields import FeatureSet
from recorders.sidecar.wire import KINDS, Arrived

if TYPE_CHECKING:
    from recorders.sealing import Keys

_MARK: Final = b"\xc1"
_DIGEST: Final = 32
_DECISION: Final = KINDS.index("decision")


def rows_of(payload: bytes) -> bytes:
    """Return the rows in a frame's payload, sealed or not."""
    return payload[1 + _DIGEST :] if payload[:1] == _MARK else payload


def proven(payload: bytes, digest: bytes) -> bool:
    """Return whether a payload is what its digest names: its own if it is sealed, else the frame's."""
    if payload[:1] == _MARK:
        digest = payload[1 : 1 + _DIGEST]
    return hashlib.sha256(rows_of(payload)).digest() == digest


class FrameSealer:
    """Seals the frames that need it. `open_keys` is called when the first one comes."""

    def __init__(self, open_keys: "Callable[[], Keys]") -> None:
        self._open_keys = open_keys
        self._keys: Keys | None = None
        self._sets: dict[bytes, FeatureSet | None] = {}

    def seal(
        self, frames: Sequence[Arrived], announced: Callable[[bytes], bytes | None]
    ) -> list[Arrived | str]:
        """Return each frame as it may be kept, or why it cannot be kept now; `announced` knows feature sets.

        After one that cannot be kept no later one of its writer is: their order stays.
        """
        held: dict[bytes, str] = {}
        made: list[Arrived | str] = []
        for frame in frames:
            try:
                made.append(held.get(frame.writer) or self._sealed(frame, announced))
            except (LinkUnavailable, FeatureSetError) as error:
                held[frame.writer] = getattr(error, "what", str(error))
                made.append(held[frame.writer])
        return made

    def _sealed(self, frame: Arrived, announced: Callable[[bytes], bytes | None]) -> Arrived:
        feature_set = self._feature_set(frame, announced)
        if feature_set is None:
            return frame
        from recorders.sealing import seal  # with cryptography, which nobody needs without sensitive fields

        if hashlib.sha256(frame.payload).digest() != frame.digest:
            rows = b""
        else:
            self._keys = self._keys or self._open_keys()
            try:
                rows = seal(frame.payload, feature_set, self._keys)
            except CorruptBatch:
                rows = (
                    b""  # nothing of it may be kept in clear: it is counted as unusable when it is composed
                )
        return frame._replace(payload=_MARK + hashlib.sha256(rows).digest() + rows)

    def _feature_set(self, frame: Arrived, announced: Callable[[bytes], bytes | None]) -> FeatureSet | None:
        if frame.kind != _DECISION:
            return None
        if frame.schema not in self._sets:
            canonical = announced(frame.schema)
            if canonical is None:
                return None
            found = FeatureSet.from_json(canonical)
            self._sets[frame.schema] = found if found.sealed else None
        return self._sets[frame.schema]


def open_keys(url: str) -> "Keys":
    """Return the keys of subjects at HARNESS_KEYS_URL, or beside the log at `url`.

    Raises:
        FeatureSetError: the environment has no secret for them.
    """
    from recorders.subject_keys import SubjectKeys  # with psycopg: a start takes frames before it ships

    return SubjectKeys.from_environment(url)


def announced_by(
    known: Callable[[bytes], bytes | None], schemas: Sequence[tuple[bytes, bytes]]
) -> Callable[[bytes], bytes | None]:
    """Return what finds a feature set: those that are known, and those that come with the same commit."""
    coming: Mapping[bytes, bytes] = dict(schemas)
    return lambda digest: known(digest) or coming.get(digest)
