"""Allocator: what one round of composing gives back is kept for the next one."""

import ctypes
from typing import Final

# glibc's names for the numbers of `mallopt`.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
KEPT_BYTES: Final = 32 * 2**20


def keep() -> bool:
    """Let the allocator keep up to 32 MiB that are free; False where it cannot be told so.

    A round allocates some ten megabytes and frees them. Given back to the system they come again page by
    page, each of them cleared.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return [mallopt(name, KEPT_BYTES) for name in (_MMAP_THRESHOLD, _TRIM_THRESHOLD)] == [1, 1]
