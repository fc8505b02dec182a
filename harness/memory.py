"""Memory that ends: how it is told from other failures, and what is said of it."""

import errno
import resource
from pathlib import Path
from typing import Final

from recorders.errors import HarnessError

MIB: Final = 2**20
# What the system, Arrow and the loader say where they had none; a thread needs a stack.
_SAYINGS: Final = ("can't start new thread", "failed to map segment", "cannot allocate memory", "bad_alloc")


class OutOfMemory(HarnessError):  # noqa: N818 - derives from HarnessError, which is an error
    """The system gave this process no more memory, or no more threads. `limit_mib` is None without one."""

    def __init__(self, reason: str, expected: str = "") -> None:
        limit = address_space()
        held = "" if limit is None else f' of {limit // MIB:,} MiB that "ulimit -v" allows this process'
        super().__init__(
            f"There is not enough memory{held}: {reason}.",
            expected or "Expected room for the rows in hand. What was begun is not registered.",
            "Raise the limit or end other programs; a shorter range, fewer --workers and a smaller --memory, "
            "where the command has them, take less. Then run the same command again.",
        )
        self.reason = reason
        self.limit_mib = None if limit is None else limit // MIB


def address_space() -> int | None:
    """Return how many bytes of address space this process may have, None without a limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def least(whole: int) -> None:
    """Raise OutOfMemory where the process may have less than `whole` bytes of address space in all."""
    limit = address_space()
    if limit is not None and limit < whole:
        raise OutOfMemory("libraries do not load", f"Expected {whole // MIB} MiB, for any command at all.")


def need(room: int, what: str) -> None:
    """Raise OutOfMemory where less than `room` bytes of address space are left, and there is a limit.

    Libraries that start threads of their own end the process where one of them gets no memory.
    """
    limit = address_space()
    if limit is None:
        return
    left = limit - _taken()
    if left < room:
        raise OutOfMemory(
            f"{max(left, 0) // MIB:,} MiB are left", f"Expected {room // MIB:,} MiB for {what}."
        )


def out_of_memory(error: BaseException) -> OutOfMemory | None:
    """Return what to say of an error that comes of a lack of memory or threads, None of any other.

    >>> out_of_memory(MemoryError()).reason
    'an allocation failed'
    >>> out_of_memory(RuntimeError("can't start new thread")).reason
    "can't start new thread"
    >>> out_of_memory(RuntimeError("another"))
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, HarnessError):  # its words are ours, and say something else
            cause = cause.__cause__
            continue
        lines = str(cause).strip().splitlines()
        text = lines[-1].strip().rstrip(".") if lines else ""
        if isinstance(cause, MemoryError):
            return OutOfMemory(text or "an allocation failed")
        lacks = isinstance(cause, OSError) and cause.errno == errno.ENOMEM
        if lacks or any(saying in text.lower() for saying in _SAYINGS):
            return OutOfMemory(text)
        cause = cause.__cause__
    return None


def _taken() -> int:
    """Return the bytes of address space that this process has, 0 where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
        return int(pages) * resource.getpagesize()
    except OSError:
        return 0
