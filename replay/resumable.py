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
_DIGEST: Final = 32
_STATE, _TAKEN = struct.Struct(">Q8I"), struct.Struct(">Q")
# How a context begins: words, length in bits, what is left of a block. Fields one by one take twice as long
# (docs/adr/0089).
_INNER: Final = struct.Struct(f"=8I2I{_BLOCK}s")
# What FIPS 180-4 begins with, and the digest of nothing.
_FIRST: Final = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
_EMPTY: Final = _STATE.pack(0, *_FIRST)
_NOTHING: Final = hashlib.sha256().digest()


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
        # Of a column's four streams three are mostly empty: the library is asked when the first byte comes.
        self._context: _Context | None = None
        self._state = _EMPTY

    @classmethod
    def of(cls, state: bytes) -> Self:
        """Return the hash that had this state.

        Raises:
            ValueError: it is none.
        """
        if len(state) < _STATE.size:
            raise ValueError(f"{len(state)} bytes are no state")
        (taken,) = _TAKEN.unpack_from(state)
        rest = len(state) - _STATE.size
        if rest != taken % _BLOCK:
            raise ValueError(f"{rest} bytes are left of {taken}")
        found = cls()
        found._state = bytes(state)
        return found

    def state(self) -> bytes:
        """Return what `of` takes the hash up from; the last bytes of what was taken are in it, below 64."""
        inner = self._context
        if inner is None:
            return self._state
        *words, low, high, rest = _INNER.unpack_from(inner)
        taken = (high * 2**32 + low) // 8
        left: bytes = rest[: taken % _BLOCK]
        return _STATE.pack(taken, *words) + left

    def update(self, data: Any, /) -> None:
        """Take bytes: `bytes`, or a buffer that lies in one piece."""
        taken = np.frombuffer(data, dtype=np.uint8)
        if not taken.size:
            return
        if self._context is None:
            self._context = _context_of(self._state)
        _LIBRARY.SHA256_Update(ctypes.byref(self._context), taken.ctypes.data, taken.size)

    def digest(self) -> bytes:
        """Return the digest of all that was taken; more can be taken after it."""
        inner = self._context
        if inner is None and self._state == _EMPTY:
            return _NOTHING
        ended = _context_of(self._state) if inner is None else _Context.from_buffer_copy(inner)
        found = ctypes.create_string_buffer(_DIGEST)
        _LIBRARY.SHA256_Final(found, ctypes.byref(ended))
        return found.raw


def _context_of(state: bytes) -> _Context:
    """Return a context of the library that has this state."""
    taken, *words = _STATE.unpack_from(state)
    rest, found = state[_STATE.size :], _Context()
    _LIBRARY.SHA256_Init(ctypes.byref(found))
    _INNER.pack_into(found, 0, *words, taken * 8 % 2**32, taken * 8 // 2**32, rest)
    found.rest_bytes = len(rest)
    return found


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
