"""What a challenger tried beside scoring: sockets, writes, processes, counted by Python's audit events.

A report and no boundary: native code raises no events. The boundary is the process and its sandbox.
"""

import os
import sys
from typing import Any

from replay.adapters.guard import plain

SAMPLES_MAX = 8
_KINDS = {
    "socket.connect": "network",
    "socket.sendto": "network",
    "socket.bind": "network",
    "socket.getaddrinfo": "network",
    "socket.gethostbyname": "network",
    "subprocess.Popen": "process",
    "os.system": "process",
    "os.exec": "process",
    "os.fork": "process",
    "os.forkpty": "process",
    "os.posix_spawn": "process",
    "os.spawn": "process",
    "os.kill": "process",
    "os.remove": "write",
    "os.rename": "write",
    "os.mkdir": "write",
    "os.rmdir": "write",
    "os.truncate": "write",
    "os.link": "write",
    "os.symlink": "write",
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Tripwire:
    """Counts attempts by kind from `arm()` on; what lies below `home`, the child's own folder, is its own."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._counts: dict[str, int] = {}
        self._samples: list[str] = []

    def arm(self) -> None:
        """Begin to count; a hook cannot be taken away again."""
        sys.addaudithook(self._hook)

    def take(self) -> tuple[dict[str, int], list[str]]:
        """Return the counts and the first few attempts since this was last asked."""
        counts, samples = self._counts, self._samples
        self._counts, self._samples = {}, []
        return counts, samples

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        kind = _KINDS.get(event)
        if event == "open" and self._writes(arguments):
            kind = "write"
        if kind is None or (kind == "write" and str(arguments[0]).startswith((self._home, os.devnull))):
            return
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if len(self._samples) < SAMPLES_MAX:
            shown = arguments[1:] if event.startswith("socket.con") else arguments[:1]
            self._samples.append(plain(f"{event} {' '.join(map(str, shown))}"))

    @staticmethod
    def _writes(arguments: tuple[Any, ...]) -> bool:
        _path, mode, flags = arguments
        if isinstance(mode, str):
            return any(letter in mode for letter in "wax+")
        return isinstance(flags, int) and bool(flags & _WRITING)
