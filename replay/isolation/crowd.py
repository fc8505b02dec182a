"""How many processes and threads a challenger may have at once, so that forking for ever ends at a number.

For any user it is a limit within the challenger's own user namespace. Root is bound by no such limit: its
challengers get a control group each (docs/adr/0077).
"""

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

HELD = "held"
_GROUPS = Path("/sys/fs/cgroup")
_NAMESPACE = Path("/proc/self/ns/user")
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
    reason = "no controller"
    for group in _groups(os.getpid()):
        try:
            group.mkdir()
            (group / "pids.max").write_text(str(most))
            (group / "cgroup.procs").write_text(str(os.getpid()))
        except OSError as error:
            reason = str(error.strerror)
            with suppress(OSError):
                group.rmdir()
        else:
            return HELD
    return f"not permitted: no control group for processes, {reason}"


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
            (group / "pids.max").write_text("0")


def remove(pid: int) -> None:
    """Remove the group of a child that is gone."""
    for group in _groups(pid):
        with suppress(OSError):
            group.rmdir()


def _groups(pid: int) -> Iterator[Path]:
    """Yield where the group of a child may be: below our own, or beside it where ours may have none below."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for _number, controllers, path in (line.split(":", 2) for line in lines):
        own = path.strip("/")
        if "pids" in controllers.split(","):
            yield _GROUPS / "pids" / own / f"harness-challenger-{pid}"
        elif not controllers:
            yield _GROUPS / Path(own).parent / f"harness-challenger-{pid}"
