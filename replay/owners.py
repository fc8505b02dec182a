"""Names of processes that mean one process for ever: whose it is what lies where others' things lie too.

A process id means another process later; with the time at which it began, within one namespace of process
ids, it does not. What a `kill -9` leaves is known by such a name, and goes when the next one comes.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# Process ids mean something within one namespace only.
_NUMBERED = Path("/proc/self/ns/pid")


def own() -> str:
    """Return the name of this process, of digits and hyphens; "" where no /proc says when it began."""
    try:
        pid = os.getpid()
        return f"{_NUMBERED.stat().st_ino}-{pid}-{_began(pid)}"
    except OSError:
        return ""


def has_ended(name: str) -> bool:
    """Return whether the process of that name runs no more; False for what nobody here can tell.

    >>> has_ended("1-2-3"), has_ended("of nobody"), has_ended(own())
    (False, False, False)
    """
    try:
        space, pid, began = map(int, name.split("-"))
        if space != _NUMBERED.stat().st_ino:
            return False
        return _began(pid) != began
    except FileNotFoundError:
        return True
    except ProcessLookupError:  # it ended while we read
        return True
    except (OSError, ValueError):
        return False


def left_behind(folder: Path, prefix: str) -> Iterator[Path]:
    """Yield what in a folder is named `prefix`, a process of this user that has ended, a hyphen, and more."""
    user = os.geteuid()
    with suppress(OSError):
        for entry in folder.iterdir():
            name = entry.name.removeprefix(prefix).rpartition("-")[0]
            if entry.name.startswith(prefix) and has_ended(name):
                with suppress(OSError):  # another removed it meanwhile
                    if entry.lstat().st_uid == user:
                        yield entry


def _began(pid: int) -> int:
    """Return when a process began, in the kernel's ticks."""
    return int(Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[19])
