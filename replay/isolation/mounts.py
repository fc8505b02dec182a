"""What a challenger may alter: its own folder, and of all else not even modes, owners and times.

Landlock says what may be opened; it knows nothing of `chmod`, `chown`, `utime` and their like, which need a
path alone and the same user. On a mount that is read-only none of them works.
"""

import ctypes
import os
import struct

from replay.isolation.crowd import HELD

NEW_MOUNTS = 0x00020000
_MOUNT_SETATTR = 442  # one number on every architecture
_HERE, _RECURSIVE = -100, 0x8000
_READ_ONLY, _BIND, _SLAVE = 1, 0x1000, 1 << 19


def only_writable(libc: ctypes.CDLL, home: str) -> str:
    """Let nothing but `home` be altered, in a mount namespace of one's own; return `held`, or why not.

    What is mounted outside later is seen here, nothing of this is seen outside. The working folder is `home`
    afterwards: the one before is below the mount that is read-only now.
    """
    place = os.fsencode(home)
    if libc.mount(place, place, None, _BIND, None) != 0:
        return _not_permitted()
    if _set(libc, b"/", _RECURSIVE, set_=_READ_ONLY, propagation=_SLAVE) != 0:
        return _not_permitted()
    if _set(libc, place, 0, clear=_READ_ONLY) != 0:
        return _not_permitted()
    os.chdir(home)
    return HELD


def _set(
    libc: ctypes.CDLL, place: bytes, flags: int, *, set_: int = 0, clear: int = 0, propagation: int = 0
) -> int:
    attributes = struct.pack("=QQQQ", set_, clear, propagation, 0)
    return int(libc.syscall(_MOUNT_SETATTR, _HERE, place, flags, attributes, len(attributes)))


def _not_permitted() -> str:
    return f"not permitted: all may be altered but what is in files, {os.strerror(ctypes.get_errno())}"
