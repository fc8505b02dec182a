"""Sealing: what a person may have erased is encrypted under that person's key before anything keeps it.

A snapshot's sealed fields become one value: version (1 byte), the key's id (16), a nonce (12), and their
values as a msgpack array under AES-256-GCM, bound to the decision's id and the feature set. The nonce is a
keyed digest of exactly these, so that the same event is the same bytes again, and no two events share one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from hashlib import blake2b
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorders.errors import CorruptBatch
from recorders.events import ENVELOPE
from recorders.fields import FeatureSet
from recorders.frame import payload_of

VERSION: Final = b"\x01"
ID_BYTES: Final = 16
_ROWS: Final = msgspec.msgpack.Decoder(list[list[Any]])
_FIRST: Final = len(ENVELOPE)
_NONCE_BYTES: Final = 12
_BODY: Final = 1 + ID_BYTES + _NONCE_BYTES


class SubjectKey(NamedTuple):
    """One person's key: its id, what encrypts, what derives nonces, and how its sealed values begin."""

    id: bytes
    cipher: AESGCM
    nonces: Any
    head: bytes

    @classmethod
    def of(cls, identifier: bytes, secret: bytes) -> "SubjectKey":
        """Return the key that 32 secret bytes are."""
        cipher = blake2b(key=secret, digest_size=32, person=b"harness.cipher").digest()
        nonces = blake2b(key=secret, digest_size=32, person=b"harness.nonces").digest()
        state = blake2b(key=nonces, digest_size=_NONCE_BYTES)
        return cls(identifier, AESGCM(cipher), state, VERSION + identifier)


class Keys(Protocol):
    """Where the keys of subjects are."""

    def of(self, subjects: Iterable[str]) -> Mapping[str, SubjectKey]:
        """Return each subject's key, made when there is none; raise LinkUnavailable when nobody answers."""

    def by_id(self, identifiers: Iterable[bytes]) -> Mapping[bytes, SubjectKey]:
        """Return the keys that exist still; one that is missing was destroyed."""


def seal(payload: bytes, feature_set: FeatureSet, keys: Keys) -> bytes:
    """Return the payload of a decision frame with one encrypted value instead of its sealed fields.

    Raises:
        CorruptBatch: it is no array of such events. The error shows no value.
        LinkUnavailable: the keys cannot be had now.
    """
    layout = _layout(feature_set)
    try:
        rows = _ROWS.decode(payload)
    except msgspec.DecodeError as error:
        raise CorruptBatch("a frame's payload is no array of events") from error
    if not {*map(len, rows)} <= {layout.width}:
        raise CorruptBatch("an event has another number of values than its feature set")
    names = [row[layout.subject] for row in rows]
    if not {*map(type, names)} <= {str, type(None)}:
        raise CorruptBatch("a subject is no text")
    known = keys.of({name or "" for name in names})
    bound, encode = bytes.fromhex(feature_set.digest), msgspec.msgpack.Encoder().encode
    blobs: list[bytes] = []
    # In stages, since a loop over all of it costs a tenth more (docs/adr/0066).
    for name, row, values in zip(names, rows, map(encode, map(layout.sealed, rows)), strict=True):
        _, cipher, nonces, head = known[name or ""]
        about = str(row[0]).encode() + bound
        hashed = nonces.copy()
        hashed.update(len(about).to_bytes(4, "big") + about + values)
        nonce = hashed.digest()
        blobs.append(head + nonce + cipher.encrypt(nonce, values, about))
    for row, blob in zip(rows, blobs, strict=True):
        for places in layout.dropped:
            del row[places]
        row.insert(-1, blob)
    return payload_of([*map(encode, rows)])


class _Layout(NamedTuple):
    """Where an event's values are: how many, the subject, those to seal, and the same last to first."""

    width: int
    subject: int
    sealed: Callable[[list[Any]], tuple[Any, ...]]
    dropped: tuple[slice, ...]


@cache
def _layout(feature_set: FeatureSet) -> _Layout:
    places = [_FIRST + place for place, field in enumerate(feature_set.fields) if field.sealed]
    subject = next(_FIRST + place for place, field in enumerate(feature_set.fields) if field.subject)
    width = _FIRST + len(feature_set.fields) + 1
    # A getter of one place would give the value, no tuple.
    sealed = itemgetter(*places) if len(places) > 1 else lambda row: (row[subject],)
    return _Layout(width, subject, sealed, _runs(places))


def _runs(places: Sequence[int]) -> tuple[slice, ...]:
    """Return the same places as slices, the last one first.

    >>> _runs([11, 12, 13, 40])
    (slice(40, 41, None), slice(11, 14, None))
    """
    found: list[slice] = []
    for place in reversed(places):
        if found and found[-1].start == place + 1:
            found[-1] = slice(place, found[-1].stop)
        else:
            found.append(slice(place, place + 1))
    return tuple(found)


def unseal(
    blobs: Sequence[bytes], identifiers: Sequence[str], feature_set: FeatureSet, keys: Keys
) -> list[list[Any] | None]:
    """Return the values of the sealed fields of each event, None where the key was destroyed.

    Raises:
        CorruptBatch: a value is not what was sealed for this event.
    """
    bound = bytes.fromhex(feature_set.digest)
    known = keys.by_id({key_id(blob) for blob in blobs})
    found: list[list[Any] | None] = []
    for blob, identifier in zip(blobs, identifiers, strict=True):
        key = known.get(key_id(blob))
        if key is None:
            found.append(None)
            continue
        try:
            nonce, body = blob[_BODY - _NONCE_BYTES : _BODY], blob[_BODY:]
            values = msgspec.msgpack.decode(key.cipher.decrypt(nonce, body, identifier.encode() + bound))
        except (InvalidTag, msgspec.DecodeError) as error:
            raise CorruptBatch(f"the sealed values of {identifier} are those of another event") from error
        found.append(values)
    return found


def key_id(blob: bytes) -> bytes:
    """Return the id of the key that a value is sealed with.

    Raises:
        CorruptBatch: it is no sealed value.
    """
    if blob[:1] != VERSION or len(blob) < _BODY:
        raise CorruptBatch("a sealed value has another form than this version knows")
    return blob[1 : 1 + ID_BYTES]
