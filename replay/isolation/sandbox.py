"""What the kernel takes from a challenger before it runs: network, files, foreign processes.

Each part is tried; what this system does not permit is reported, never passed over in silence. Linux only:
elsewhere the report says so, and the process with its limits is what remains (docs/adr/0027).
"""

import ctypes
import os
import signal
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from replay.isolation import crowd, mounts, sockets
from replay.isolation.crowd import HELD

_NEW_USER, _NEW_NET, _NEW_IPC = 0x10000000, 0x40000000, 0x08000000
_DEATH_SIGNAL, _NO_NEW_PRIVILEGES = 1, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # one number on every architecture
_READ = 0b1101  # execute, read a file, read a folder
_ALL_BY_VERSION = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}
_SCOPES_FROM, _SCOPES = 6, 0b11  # abstract sockets and signals
_SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/dev/urandom",
    "/dev/null",
)
_NETWORKED = (
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/ssl",
    "/etc/gai.conf",
)


def enter(home: str, readable: Iterable[str], *, network: bool, processes: int) -> dict[str, str]:
    """Return what is in force for this process and all that it starts: `held`, or why not, by part.

    `home` may be written; `readable` and the system's libraries may be read; nothing else may be opened. No
    more than `processes` processes and threads run at once.
    """
    if not sys.platform.startswith("linux"):
        reason = f"not permitted: {sys.platform} has none"
        return {"network": reason, "files": reason, "processes": reason, "forks": reason}
    libc = ctypes.CDLL(None, use_errno=True)
    outer, forks = crowd.namespace(), crowd.grouped(processes)
    apart = _apart(libc, network=network)
    altered = mounts.only_writable(libc, home) if apart == HELD else apart
    libc.prctl(_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)  # after the credentials changed: that clears it
    opened, version = _only_files(libc, home, [*_SYSTEM, *(_NETWORKED if network else ()), *readable])
    report = {
        "network": "open, as asked for" if network else _both(apart, sockets.of_the_internet(libc)),
        "files": _both(opened, altered),
    }
    scoped = version >= _SCOPES_FROM
    report["processes"] = HELD if scoped else "not permitted: signals to others of the same user pass"
    report["forks"] = forks or crowd.limited(processes, outer)
    return report


def _both(*states: str) -> str:
    """Return that all of them hold, or what the first one says that does not."""
    return next((state for state in states if state != HELD), HELD)


def _apart(libc: ctypes.CDLL, *, network: bool) -> str:
    """Leave for namespaces where root is nobody outside, and where there is no network unless asked for."""
    flags = mounts.NEW_MOUNTS | _NEW_IPC | (0 if network else _NEW_NET)
    if libc.unshare(_NEW_USER | flags) == 0 or libc.unshare(flags) == 0:
        return HELD
    return f"not permitted: {os.strerror(ctypes.get_errno())}"


def _only_files(libc: ctypes.CDLL, home: str, readable: Iterable[str]) -> tuple[str, int]:
    """Restrict what may be opened by Landlock; return the state and the kernel's version of it."""
    version = libc.syscall(_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return f"not permitted: {os.strerror(ctypes.get_errno())}", 0
    rights = _ALL_BY_VERSION[min(version, max(_ALL_BY_VERSION))]
    scopes = _SCOPES if version >= _SCOPES_FROM else 0
    attributes = struct.pack("QQQ", rights, 0, scopes)[: 24 if scopes else 8]
    rules = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return f"not permitted: {os.strerror(ctypes.get_errno())}", version
    try:
        for path in readable:
            _allow(libc, rules, path, _READ & rights)
        _allow(libc, rules, "/dev/null", 0b111 & rights)
        _allow(libc, rules, home, rights)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        if libc.syscall(_RESTRICT_SELF, rules, 0) != 0:
            return f"not permitted: {os.strerror(ctypes.get_errno())}", version
    finally:
        os.close(rules)
    return HELD, version


def _allow(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    """Add one path with all below it; a path that is not there allows nothing."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        kept = rights if Path(path).is_dir() else rights & 0b111
        libc.syscall(_ADD_RULE, rules, 1, struct.pack("=Qi", kept, fd), 0)
    finally:
        os.close(fd)
