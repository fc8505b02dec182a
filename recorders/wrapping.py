"""Wrapping: the keys of subjects are kept encrypted under a key that is never beside them."""

import os
import threading
from collections.abc import Callable, Mapping
from hashlib import blake2b, sha256
from hmac import compare_digest
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from recorders.errors import FeatureSetError, KeysUnavailable
from recorders.guard import Guard

WRAPPER_VARIABLE: Final = "HARNESS_SUBJECT_WRAPPER"
SECRET_VARIABLE: Final = "HARNESS_SUBJECT_SECRET"  # noqa: S105 - the variable's name, not its value
OLDER_VARIABLE: Final = "HARNESS_SUBJECT_SECRET_OLD"
_CHARACTERS_MIN: Final = 32
_KEY_BYTES: Final = 32
# In front of what is wrapped with a check value. What a wrapper gives begins like that once in 2**64 times.
_MARK: Final = b"HKEYCHK1"
_CHECK_BYTES: Final = 16
# A service that takes longer for a key does not answer: everybody's frames wait while one is asked for.
PATIENCE_S: Final = 10.0


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


class Foreign:
    """A wrapper that somebody else wrote, such as a key management service: what it raises harms nobody.

    Its ValueError says that bytes are not of its key; anything else that it did not answer. So does silence:
    the call is then left to itself, and until it ends nothing more is asked, so that they do not add up.
    """

    def __init__(self, theirs: Wrapper) -> None:
        self._theirs = theirs
        self.name = theirs.name
        self._left: threading.Thread | None = None

    def wrap(self, key: bytes) -> bytes:
        """Return 32 bytes, wrapped."""
        return self._answer(self._theirs.wrap, key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return what was wrapped; raise ValueError when it is not of this key."""
        key = self._answer(self._theirs.unwrap, wrapped)
        if len(key) != _KEY_BYTES:
            raise ValueError(f"it gave {len(key)} bytes, not {_KEY_BYTES}")
        return key

    def _answer(self, ask: Callable[[bytes], bytes], data: bytes) -> bytes:
        errors, found = self._in_time(ask, data)
        for error in errors:
            if isinstance(error, ValueError):
                raise error
            raise KeysUnavailable(
                f"the keys' wrapper {self.name} did not answer: {type(error).__name__}"
            ) from error
        if not isinstance(found, bytes):
            raise KeysUnavailable(f"the keys' wrapper {self.name} gave {type(found).__name__}, not bytes")
        return found

    def _in_time(self, ask: Callable[[bytes], bytes], data: bytes) -> tuple[list[Exception], Any]:
        """Return what was raised and what was answered."""
        if self._left is not None and self._left.is_alive():
            raise KeysUnavailable(f"the keys' wrapper {self.name} has not answered an earlier call yet")
        answers: SimpleQueue[tuple[list[Exception], Any]] = SimpleQueue()

        def call() -> None:
            errors: list[Exception] = []
            found: Any = None
            with Guard(errors.append):
                found = ask(data)
            answers.put((errors, found))

        asked = threading.Thread(target=call, name="harness-keys-wrapper", daemon=True)
        asked.start()
        try:
            return answers.get(timeout=PATIENCE_S)
        except Empty as error:
            self._left = asked
            raise KeysUnavailable(
                f"the keys' wrapper {self.name} did not answer in {PATIENCE_S:g} s"
            ) from error


class Checked:
    """Keeps a check value of each key in front of it: what gives other bytes than it wrapped is found out.

    The value is a keyed digest of a fixed text under the key, so it tells nothing of a random one. What was
    wrapped before there were such values is opened as it was.

    >>> kept = Checked(SecretWrapper("0123456789abcdef0123456789abcdef"))
    >>> kept.unwrap(kept.wrap(bytes(32))) == bytes(32)
    True
    """

    def __init__(self, inner: Wrapper) -> None:
        self._inner = inner
        self.name = inner.name

    def wrap(self, key: bytes) -> bytes:
        """Return the mark, the key's check value, and the key, wrapped."""
        return _MARK + _check_value(key) + self._inner.wrap(key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return what was wrapped; raise ValueError when it is not of this key, or not what was wrapped."""
        if not wrapped.startswith(_MARK):
            return self._inner.unwrap(wrapped)
        begin = len(_MARK) + _CHECK_BYTES
        key = self._inner.unwrap(wrapped[begin:])
        if not compare_digest(_check_value(key), wrapped[len(_MARK) : begin]):
            raise ValueError("it gave other bytes than were wrapped")
        return key


def _check_value(key: bytes) -> bytes:
    return blake2b(b"harness.wrapping.check/1", key=key, digest_size=_CHECK_BYTES).digest()


def wrappers(environment: Mapping[str, str] = os.environ) -> tuple[Wrapper, ...]:
    """Return what wraps keys now, then what wrapped them earlier.

    Wrappers that are named (`module:function`, separated by commas) come before secrets.

    Raises:
        FeatureSetError: there is nothing to wrap with, too short a secret, or no such wrapper.
    """
    named = [
        _named(name.strip()) for name in environment.get(WRAPPER_VARIABLE, "").split(",") if name.strip()
    ]
    secrets = [environment.get(SECRET_VARIABLE, ""), *environment.get(OLDER_VARIABLE, "").split(",")]
    needed = [] if named else secrets[:1]
    for secret in needed + [one for one in secrets if one]:
        if len(secret) < _CHARACTERS_MIN:
            raise FeatureSetError(
                f"A feature set has sensitive fields, and {SECRET_VARIABLE} has {len(secret)} characters.",
                f"Expected a secret of at least {_CHARACTERS_MIN}.",
                "Set it, wherever events are encrypted or read, to the one that their keys were made with; "
                "for the first keys of all make one: `openssl rand -hex 32`.",
            )
    return (*named, *(SecretWrapper(secret) for secret in secrets if secret))


def _named(reference: str) -> Foreign:
    """Return the wrapper that the function `module:function` gives."""
    module, _, function = reference.partition(":")
    errors: list[Exception] = []
    with Guard(errors.append):
        theirs = getattr(import_module(module), function)()
        if isinstance(theirs.name, str) and theirs.name and callable(theirs.wrap) and callable(theirs.unwrap):
            return Foreign(theirs)
    reason = f": {type(errors[0]).__name__}: {errors[0]}" if errors else ""
    raise FeatureSetError(
        f"{WRAPPER_VARIABLE} names {reference!r}, which gives no wrapper{reason}.",
        "Expected module:function, called without arguments, which returns an object with name, wrap and "
        "unwrap (recorders/wrapping.py).",
        "Correct it, and put the module where Python finds it (PYTHONPATH).",
    )
