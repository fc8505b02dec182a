"""Sealing: what a person may have erased is encrypted under that person's key before anything keeps it.

A snapshot's sealed fields become one value: version (1 byte), the key's id (16), a nonce (12), and their
values as a msgpack array under AES-256-GCM, bound to the decision's id and the feature set. The nonce is a
keyed digest of exactly these, so that the same event is the same bytes again, and no two events share one.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorders.cutting import cut
from recorders.errors import CorruptBatch
from recorders.fields import FeatureSet
from recorders.frame import payload_of

VERSION: Final = b"\x01"
ID_BYTES: Final = 16
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
    events, encode = cut(payload, feature_set), msgspec.msgpack.Encoder().encode
    known = keys.of({name or "" for name in events.names})
    made: list[bytes] = []
    for name, about, values, before, after in zip(*events, strict=True):
        _, cipher, nonces, head = known[name or ""]
        hashed = nonces.copy()
        hashed.update(len(about).to_bytes(4, "big") + about + values)
        nonce = hashed.digest()
        made.append(before + encode(head + nonce + cipher.encrypt(nonce, values, about)) + after)
    return payload_of(made)


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
