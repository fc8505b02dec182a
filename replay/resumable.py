"""SHA-256 that is taken up where another process left it, by the library that `hashlib` itself calls.

`hashlib` has no way to give its state out. The library has: eight words, a length and what is left of a block
of 64 bytes. Where it cannot be had, `AVAILABLE` is false, and who hashes begins anew (docs/adr/0064).
"""

import ctypes
import hashlib
import struct
from typing import Any, Final, Protocol, Self

import numpy as np

_BLOCK: Final = 64
_STATE: Final = struct.Struct(">Q8I")


class Hash(Protocol):
    """What takes bytes and gives their digest."""

    def update(self, data: Any, /) -> None:
        """Take bytes."""

    def digest(self) -> bytes:
        """Return the digest of all that was taken."""


class _Context(ctypes.Structure):
    """The `SHA256_CTX` of OpenSSL and its kin, with room to spare."""

    _fields_ = (
        ("words", ctypes.c_uint32 * 8),
        ("bits_low", ctypes.c_uint32),
        ("bits_high", ctypes.c_uint32),
        ("rest", ctypes.c_uint8 * _BLOCK),
        ("rest_bytes", ctypes.c_uint),
        ("digest_bytes", ctypes.c_uint),
        ("room", ctypes.c_uint8 * _BLOCK),
    )


def _library() -> Any:
    """Return the library that hashlib calls, None where its functions are not to be had."""
    try:
        import _hashlib

        library = ctypes.CDLL(_hashlib.__file__)
        library.SHA256_Init.argtypes = [ctypes.c_void_p]
        library.SHA256_Update.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        library.SHA256_Final.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    except (ImportError, OSError, AttributeError):
        return None
    return library


_LIBRARY: Final = _library()


class Resumable:
    """A SHA-256 with a state; only where `AVAILABLE`."""

    def __init__(self) -> None:
        self._context = _Context()
        _LIBRARY.SHA256_Init(ctypes.byref(self._context))

    @classmethod
    def of(cls, state: bytes) -> Self:
        """Return the hash that had this state.

        Raises:
            ValueError: it is none.
        """
        if len(state) < _STATE.size:
            raise ValueError(f"{len(state)} bytes are no state")
        taken, *words = _STATE.unpack_from(state)
        rest = state[_STATE.size :]
        if len(rest) != taken % _BLOCK:
            raise ValueError(f"{len(rest)} bytes are left of {taken}")
        found = cls()
        found._context.words[:] = words
        found._context.bits_low, found._context.bits_high = taken * 8 % 2**32, taken * 8 // 2**32
        found._context.rest[: len(rest)] = list(rest)
        found._context.rest_bytes = len(rest)
        return found

    def state(self) -> bytes:
        """Return what `of` takes the hash up from; the last bytes of what was taken are in it, below 64."""
        inner = self._context
        taken = (inner.bits_high * 2**32 + inner.bits_low) // 8
        return _STATE.pack(taken, *inner.words) + bytes(inner.rest[: taken % _BLOCK])

    def update(self, data: Any, /) -> None:
        """Take bytes: `bytes`, or a buffer that lies in one piece."""
        taken = np.frombuffer(data, dtype=np.uint8)
        _LIBRARY.SHA256_Update(ctypes.byref(self._context), taken.ctypes.data, taken.size)

    def digest(self) -> bytes:
        """Return the digest of all that was taken; more can be taken after it."""
        ended, found = _Context.from_buffer_copy(self._context), ctypes.create_string_buffer(32)
        _LIBRARY.SHA256_Final(found, ctypes.byref(ended))
        return found.raw


def _agrees() -> bool:
    """Return whether a hash that is taken up in the middle is the one that hashlib gives."""
    if _LIBRARY is None:
        return False
    whole, begun = bytes(range(200)), Resumable()
    begun.update(whole[:70])
    resumed = Resumable.of(begun.state())
    resumed.update(whole[70:])
    return resumed.digest() == hashlib.sha256(whole).digest()


AVAILABLE: Final = _agrees()
