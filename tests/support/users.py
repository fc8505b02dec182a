"""Other users, for tests that root runs: the action happens in a forked child that has become that user."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Nobody's, with a name; and a number that no account has.
SIDECAR, SERVICE = 65_534, 64_001
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")


def become(user: int, group: int | None = None) -> None:
    """Be that user from now on, in that group alone (its own if none is given)."""
    os.setgroups([])
    os.setgid(user if group is None else group)
    os.setuid(user)


def told(user: int, action: Callable[[], object], *, group: int | None = None) -> str:
    """Return the text of what an action returns to that user, or raises.

    What it needs must be imported already: where root's Python lies nobody else may read.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            become(user, group)
            said = str(action())
        except BaseException as error:  # noqa: BLE001  # it is the answer
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        sys.stdout.flush()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = answer.read().decode()
    os.waitpid(child, 0)
    return said


def given(path: Path, user: int, mode: int, *, group: int | None = None) -> Path:
    """Return the path after it became that user's, with that mode."""
    os.chown(path, user, user if group is None else group)
    path.chmod(mode)
    return path
