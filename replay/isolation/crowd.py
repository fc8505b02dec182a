"""How many processes and threads a challenger may have at once, so that forking for ever ends at a number.

For any user it is a limit within the challenger's own user namespace. Root is bound by no such limit: its
challengers get a control group each (docs/adr/0077).
"""

import os
import resource
import select
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

HELD = "held"
_GROUPS = Path("/sys/fs/cgroup")
_NAMESPACE = Path("/proc/self/ns/user")
# Process ids mean something within one namespace only: a group is named after both.
_NUMBERED = Path("/proc/self/ns/pid")
_END_MS = 1000
# From this kernel on the limit counts within a user namespace, and no more all that the user runs.
_COUNTS_FROM = (5, 14)


def namespace() -> str:
    """Return what identifies this process's user namespace, empty where there is none."""
    try:
        return str(_NAMESPACE.readlink())
    except OSError:
        return ""


def grouped(most: int) -> str | None:
    """Bound this process, with all that it will start, by a control group; None: no root, `limited` does it.

    Return `held`, or why not. It is called before a namespace of its own is entered: outside of it root is
    nobody there.
    """
    if os.geteuid() != 0:
        return None
    reasons = []
    for group in _groups(os.getpid()):
        _sweep(group)
        try:
            group.mkdir()
        except OSError as error:
            reasons.append(str(error.strerror))
            continue
        try:
            _tell(group / "pids.max", most)
            _tell(group / "cgroup.procs", os.getpid())
        except OSError as error:
            reasons.append(str(error.strerror))
            with suppress(OSError):
                group.rmdir()
        else:
            return HELD
    return f"not permitted: no control group for processes, {' and '.join(reasons) or 'no controller'}"


def limited(most: int, outer: str) -> str:
    """Bound this process, with all that it will start, by a limit; return `held`, or why not.

    `outer`: the namespace that it was in before. In that one all processes of the user would be counted.
    """
    if namespace() == outer:
        return "not permitted: no user namespace of its own"
    if tuple(int(part) for part in os.uname().release.split(".")[:2]) < _COUNTS_FROM:
        return "not permitted: this kernel counts all processes of the user"
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    return HELD


def close(pid: int) -> None:
    """Let nothing in the group of a child start anything more: killed one by one, they come to an end."""
    for group in _groups(pid):
        with suppress(OSError):
            _tell(group / "pids.max", 0)


def remove(pid: int) -> None:
    """Remove the group of a child that is gone."""
    for group in _groups(pid):
        with suppress(OSError):
            group.rmdir()


def _tell(file: Path, number: int) -> None:
    """Write to a file of the kernel's. An ordinary folder has none, and gets none: it would bound nobody."""
    with file.open("r+b", buffering=0) as kernel:
        kernel.write(str(number).encode())


def _sweep(group: Path) -> None:
    """End what challengers left in their groups whose nursery was killed, and remove those groups.

    A number that no process has is that of a challenger that is gone; one is ours, and was another's before.
    """
    named, _, _number = group.name.rpartition("-")
    for other in group.parent.glob(f"{named}-*"):
        number = other.name.rpartition("-")[2]
        if other == group or not Path("/proc", number).exists():
            with suppress(OSError):  # it went meanwhile, or something in it takes its time: the next one's
                _tell(other / "pids.max", 0)
                _end_all_in(other)
                other.rmdir()


def _end_all_in(group: Path) -> None:
    """Kill what runs in a group where nothing can start, and wait for it."""
    for number in _members(group):
        with ExitStack() as held:
            process = os.pidfd_open(number)
            held.callback(os.close, process)
            if number in _members(
                group
            ):  # still: the descriptor is a member's, whatever the number means next
                signal.pidfd_send_signal(process, signal.SIGKILL)
                ends = select.poll()
                ends.register(process, select.POLLIN)
                ends.poll(_END_MS)


def _members(group: Path) -> list[int]:
    return [int(number) for number in (group / "cgroup.procs").read_text().split()]


def _groups(pid: int) -> Iterator[Path]:
    """Yield where the group of a child may be: below our own, or beside it where ours may have none below."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        name = f"harness-challenger-{_NUMBERED.stat().st_ino}-{pid}"
    except OSError:
        return
    for _number, controllers, path in (line.split(":", 2) for line in lines):
        own = path.strip("/")
        if "pids" in controllers.split(","):
            yield _GROUPS / "pids" / own / name
        elif not controllers:
            yield _GROUPS / Path(own).parent / name
