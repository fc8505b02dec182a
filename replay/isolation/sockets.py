"""Which sockets a challenger may make: those of the internet, whose network it does not have.

A network namespace holds no socket that is a file: of a database, of an agent for keys, of a container's
engine. Whoever may write to that file can connect, which neither Landlock nor a read-only mount refuses.
So no socket of another family is made, neither by name nor through what could be connected again.
"""

import ctypes
import os
import platform
import struct
from typing import NamedTuple

from replay.isolation.crowd import HELD

_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | 13  # permission denied
# Where the kernel shows a filter the call's number, its architecture and the lower halves of two arguments.
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24
_INTERNET = (2, 10)
# A pair is connected for good when it is a stream or a sequence; a pair of datagrams can write to any name.
_CONNECTED = (1, 5)
_KINDS = 0xF
_IO_URING_SETUP = 425  # it makes and connects sockets without a call that is seen here
_OTHER_NUMBERS = 0x40000000  # of the x32 interface


class _Numbers(NamedTuple):
    """An architecture as the kernel names it, and its numbers of two calls."""

    architecture: int
    socket: int
    socketpair: int


_KNOWN = {"x86_64": _Numbers(0xC000003E, 41, 53), "aarch64": _Numbers(0xC00000B7, 198, 199)}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def of_the_internet(libc: ctypes.CDLL) -> str:
    """Refuse this process, and all that it starts, sockets of other families; return `held`, or why not."""
    numbers = _KNOWN.get(platform.machine())
    if numbers is None:
        return f"not permitted: sockets that are files, on {platform.machine() or 'this machine'}"
    steps = _steps(numbers)
    program = _Program(len(steps) // 8, steps)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if libc.prctl(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0) != 0:
        return f"not permitted: sockets that are files, {os.strerror(ctypes.get_errno())}"
    return HELD


def _steps(numbers: _Numbers) -> bytes:
    """Return the filter. A step is what to do, how many steps to go over if so and if not, and a value."""
    pair, allow, refuse, kill = 10, 14, 15, 16  # where they are among the steps
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, kill - 2, numbers.architecture),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, refuse - 4, 0, _OTHER_NUMBERS),
        (_EQUAL, refuse - 5, 0, _IO_URING_SETUP),
        (_EQUAL, pair - 6, 0, numbers.socketpair),
        (_EQUAL, 0, allow - 7, numbers.socket),
        (_LOAD, 0, 0, _FIRST),
        (_EQUAL, allow - 9, 0, _INTERNET[0]),
        (_EQUAL, allow - 10, refuse - 10, _INTERNET[1]),
        (_LOAD, 0, 0, _SECOND),
        (_AND, 0, 0, _KINDS),
        (_EQUAL, allow - 13, 0, _CONNECTED[0]),
        (_EQUAL, allow - 14, refuse - 14, _CONNECTED[1]),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _KILL),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
