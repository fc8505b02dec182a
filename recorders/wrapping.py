"""Wrapping: the keys of subjects are kept encrypted under a key that is never beside them."""

import os
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, Protocol

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from recorders.errors import FeatureSetError

SECRET_VARIABLE: Final = "HARNESS_SUBJECT_SECRET"  # noqa: S105 - the variable's name, not its value
OLDER_VARIABLE: Final = "HARNESS_SUBJECT_SECRET_OLD"
_CHARACTERS_MIN: Final = 32


class Wrapper(Protocol):
    """What wraps keys: a secret of one's own, or a key management service that never hands its key out."""

    name: str

    def wrap(self, key: bytes) -> bytes:
        """Return 32 bytes, wrapped."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return what was wrapped; raise ValueError when it is not of this key."""


class SecretWrapper:
    """Wraps with AES (RFC 3394) under the SHA-256 of a long random secret.

    >>> wrapper = SecretWrapper("0123456789abcdef0123456789abcdef")
    >>> wrapper.unwrap(wrapper.wrap(bytes(32))) == bytes(32), wrapper.name
    (True, 'secret:3e9b0f39')
    """

    def __init__(self, secret: str) -> None:
        self._key = sha256(b"harness.wrapping/1" + secret.encode()).digest()
        self.name = f"secret:{sha256(self._key).hexdigest()[:8]}"

    def wrap(self, key: bytes) -> bytes:
        """Return 32 bytes, wrapped."""
        return aes_key_wrap(self._key, key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return what was wrapped; raise ValueError when it is not of this key."""
        try:
            return aes_key_unwrap(self._key, wrapped)
        except InvalidUnwrap as error:
            raise ValueError("it is wrapped with another key") from error


def wrappers(environment: Mapping[str, str] = os.environ) -> tuple[SecretWrapper, ...]:
    """Return what wraps keys now, then what wrapped them earlier.

    Raises:
        FeatureSetError: there is no secret, or too short a one.
    """
    secrets = [environment.get(SECRET_VARIABLE, ""), *environment.get(OLDER_VARIABLE, "").split(",")]
    for secret in secrets[:1] + [one for one in secrets[1:] if one]:
        if len(secret) < _CHARACTERS_MIN:
            raise FeatureSetError(
                f"A feature set has sensitive fields, and {SECRET_VARIABLE} has {len(secret)} characters.",
                f"Expected a secret of at least {_CHARACTERS_MIN}.",
                "Set it where events are encrypted and read: `openssl rand -hex 32`.",
            )
    return tuple(SecretWrapper(secret) for secret in secrets if secret)
