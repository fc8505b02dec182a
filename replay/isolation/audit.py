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
    "socket.sendmsg": "network",
    "socket.bind": "network",
    "socket.getaddrinfo": "network",
    "socket.gethostbyname": "network",
    "socket.gethostbyaddr": "network",
    "subprocess.Popen": "process",
    "os.system": "process",
    "os.exec": "process",
    "os.fork": "process",
    "os.forkpty": "process",
    "os.posix_spawn": "process",
    "os.spawn": "process",
    "os.kill": "process",
    "os.killpg": "process",
    "os.remove": "write",
    "os.rename": "write",
    "os.mkdir": "write",
    "os.rmdir": "write",
    "os.truncate": "write",
    "os.link": "write",
    "os.symlink": "write",
    "os.chmod": "write",
    "os.chown": "write",
    "os.utime": "write",
    "os.setxattr": "write",
    "os.removexattr": "write",
}
# Those that take a second path, which is altered as well.
_TO = frozenset({"os.rename", "os.link"})
_OF_SOCKETS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Tripwire:
    """Counts attempts by kind from `arm()` on; what lies below `home`, the child's own folder, is its own."""

    def __init__(self, home: str) -> None:
        # As it is named and as it is: a temporary folder may lie behind a link.
        self._homes = {home, os.path.realpath(home)}
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
        if kind is None or (kind == "write" and self._own(event, arguments)):
            return
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if len(self._samples) < SAMPLES_MAX:
            first = event in _OF_SOCKETS  # an object of its own, of no interest
            shown = arguments[1:2] if first else arguments[: 2 if event in _TO else 1]
            self._samples.append(plain(f"{event} {' '.join(map(str, shown))}"))

    def _own(self, event: str, arguments: tuple[Any, ...]) -> bool:
        """Return whether all that is altered is its own; an open file was told when it was opened."""
        if event == "os.symlink":
            paths: tuple[Any, ...] = arguments[1:2]  # what it points to need not even be there
        else:
            paths = arguments[: 2 if event in _TO else 1]
        return all(isinstance(path, int) or self._below(path) for path in paths)

    def _below(self, path: Any) -> bool:
        name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)
        whole = os.path.abspath(name)  # noqa: PTH100  no link is followed: it is the name that is told
        inside = (whole == home or whole.startswith(home + os.sep) for home in self._homes)
        return whole == os.devnull or any(inside)

    @staticmethod
    def _writes(arguments: tuple[Any, ...]) -> bool:
        _path, mode, flags = arguments
        if isinstance(mode, str):
            return any(letter in mode for letter in "wax+")
        return isinstance(flags, int) and bool(flags & _WRITING)
