"""What challengers left whose nursery was killed with its keeper: found by a mark, and ended (docs/adr/0092).

A nursery is started with a mark in its environment, and what is forked below it has the same one, as the
kernel keeps it: taking it out of `os.environ` changes nothing there. It says whose nursery it was.
"""

import os
import select
import signal
import time
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path

from replay import owners

MARK = "HARNESS_NURSERY"
_PROCESSES = Path("/proc")
# What forks while it is looked for is stopped in so many turns, a child at a time at most.
_TURNS = 64
_END_MS = 1_000
_ORDERLY_S, _LOOK_S = 2.0, 0.05
_numbers = count(1)
_living: set[str] = set()


def mark() -> str:
    """Return the mark of a new nursery of this process, living until it is `gone`; "" without /proc."""
    owner = owners.own()
    if not owner:
        return ""
    found = f"{owner}:{next(_numbers)}"
    _living.add(found)
    return found


def gone(name: str) -> None:
    """Take note that a nursery has ended: what still has its mark is left over."""
    _living.discard(name)


def sweep() -> int:
    """End what is left of nurseries that are gone, of this process and of ones that are; return how many.

    A process that runs for another living one is that one's own. Whatever is found is stopped first, so that
    nothing is forked while the others are looked for.
    """
    _wait()
    with ExitStack() as held:
        found: dict[int, int] = {}
        for _turn in range(_TURNS):
            new = [pid for pid in _left() if pid not in found]
            if not new:
                break
            for pid in new:
                with suppress(OSError):  # it ended meanwhile
                    process = os.pidfd_open(pid)
                    held.callback(os.close, process)
                    if _is_left(pid):  # still: the descriptor is of that one, whatever the number means next
                        signal.pidfd_send_signal(process, signal.SIGSTOP)
                        found[pid] = process
        for process in found.values():
            with suppress(OSError):
                signal.pidfd_send_signal(process, signal.SIGKILL)
        for process in found.values():
            ends = select.poll()
            ends.register(process, select.POLLIN)
            ends.poll(_END_MS)
    return len(found)


def _wait() -> None:
    """Give what is left a while to end by itself: a nursery whose owner was killed a moment ago clears up."""
    until = time.monotonic() + _ORDERLY_S
    while time.monotonic() < until and _left():
        time.sleep(_LOOK_S)


def _left() -> list[int]:
    """Return the processes of this user that are left over."""
    own, found = os.geteuid(), list[int]()
    with suppress(OSError):
        for entry in _PROCESSES.iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and entry.stat().st_uid == own and _is_left(int(entry.name)):
                    found.append(int(entry.name))
    return found


def _is_left(pid: int) -> bool:
    """Return whether a process has the mark of a nursery that is gone, and may be told about."""
    try:
        content = Path(_PROCESSES, str(pid), "environ").read_bytes()
        marks = [each for each in content.split(b"\0") if each.startswith(f"{MARK}=".encode())]
        if len(marks) != 1:
            return False
        name = marks[0].decode("ascii").partition("=")[2]
        owner = name.partition(":")[0]
        return name not in _living if owner == owners.own() else owners.has_ended(owner)
    except (OSError, ValueError):
        return False
