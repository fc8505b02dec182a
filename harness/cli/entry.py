"""The command `harness` of a process: what holds while it is being imported, then the command line."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from replay.terminated import Terminated

INTERRUPTED = 130
TERMINATED = 143
_ARENAS_MAX = -8  # M_ARENA_MAX of malloc.h
# Arrow's own allocator takes memory by pages of 2 MB, cleared anew each time that it is given back and taken.
ALLOCATOR = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
# What runs for months in little memory has settings of its own, which were measured with Arrow's.
_OWN_MEMORY = "sidecar"


@contextmanager
def at_once() -> Iterator[None]:
    """End the process at once on SIGINT in this block: nothing may be open yet.

    An interrupt that is raised in the middle of an import comes out as a traceback, or as an error of the
    import's own. A process that ignores SIGINT, as under `nohup`, goes on ignoring it.
    """
    before = signal.getsignal(signal.SIGINT)
    ours = threading.current_thread() is threading.main_thread()  # the one that may set what a signal does
    if not ours or before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def main() -> None:
    """Run the command line of this process and end it with its exit code."""
    if _OWN_MEMORY not in sys.argv[1:2]:
        _allocate_by_malloc()
    with at_once():
        _be_sparing()
        from harness.cli.main import run
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run())


def _allocate_by_malloc() -> None:
    """Say so before Arrow is imported, here and by workers (docs/adr/0091)."""
    for name, value in ALLOCATOR.items():
        os.environ.setdefault(name, value)


def _be_sparing() -> None:
    """Let libraries reserve no more address space than they use, where it is limited: before any is loaded.

    Arrow's allocator would take a gigabyte at once, each thread 64 MiB; BLAS waits for ever for what it is
    not given for its threads.
    """
    from harness.memory import address_space

    if address_space() is None:
        return
    _allocate_by_malloc()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import ctypes

    with suppress(AttributeError, OSError):  # a C library without it has no arenas
        ctypes.CDLL(None).mallopt(_ARENAS_MAX, 2)


def _end(_number: int, _frame: Any) -> None:
    os.write(sys.stderr.fileno(), b"Interrupted.\n")
    os._exit(INTERRUPTED)


def _terminate(_number: int, _frame: Any) -> None:
    # Ends through the stack, so that the log is closed and the embedded server is not left behind.
    raise Terminated(TERMINATED)
