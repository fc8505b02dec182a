"""The parent of a nursery: it ends what a killed one leaves, for whoever runs it (docs/adr/0092).

It is small, imports nothing of what a model needs, and does nothing until its child has ended.
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

_DEATH_SIGNAL, _ADOPTS = 1, 36  # PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER


def keep(fd: int) -> None:
    """Return in a child of this process, which goes on; this one ends when that has, with all that it left.

    `fd` is closed here: its other end must see when the child has ended. Linux only; elsewhere nothing
    is forked, and nobody adopts.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    # What lies below the child becomes ours when the child is killed, and not the system's.
    libc.prctl(_ADOPTS, 1, 0, 0, 0)
    child = os.fork()
    if child == 0:
        libc.prctl(_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)
        return
    os.close(fd)
    os.waitpid(child, 0)
    end_children()
    os._exit(0)


def end_children(spared: frozenset[int] = frozenset()) -> None:
    """Kill the children of this process, those that it adopts meanwhile among them, but those `spared`."""
    while left := _children() - spared:
        for pid in left:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _children() -> set[int]:
    """Return the process ids of our children, those that we adopted among them; none where nobody says."""
    with suppress(OSError):
        return set(map(int, Path("/proc/self/task", str(os.getpid()), "children").read_text().split()))
    return set()
