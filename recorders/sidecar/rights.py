"""Rights: whether a spool is this user's to work on; what is made in it is open to nobody else."""

import contextlib
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from recorders.errors import HarnessError
from recorders.sidecar.errors import SettingsError, SidecarForbidden, SpoolForbidden, SpoolUnusable

# What a sidecar makes in its folder. A volume that is mounted there holds more, such as lost+found.
OWN: Final = ("inbox-", "outbox-", "ballast", "lock", "stamp", "quarantine", "doors")


@contextlib.contextmanager
def private() -> Iterator[None]:
    """Make all files for this user alone meanwhile: they hold what services know of people."""
    with umask(0o077):
        yield


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    """Let this process make its files with `mask` meanwhile."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def check(folder: Path, *, write: bool = True) -> None:
    """Look at all of a spool before any of it is used.

    A file of another user that cannot be read looks like a damaged one: put aside, and counted as lost.

    Raises:
        SpoolForbidden: something of it is closed to this user.
        SpoolUnusable: its disk is mounted read-only, which is no matter of users.
        SettingsError: it is a link to what is not there.
    """
    change = os.W_OK if write else 0
    for path in _parts(folder):
        need = change | (os.X_OK if os.path.isdir(path) else os.R_OK)  # noqa: PTH112  # Path's may raise
        if not _may(path, need):
            raise _why(folder, path, write=write)


def refused(path: Path) -> SidecarForbidden:
    """Return what to tell a user to whom a sidecar's socket is closed."""
    return SidecarForbidden(path, owner_of(path), this_user())


def owner_of(path: Path) -> str:
    """Return whose a file is; of one that cannot be seen, whose the folder is that hides it."""
    for seen in (path, *path.absolute().parents):
        with contextlib.suppress(OSError):
            return _name(seen.stat().st_uid)
    return "somebody else"


def this_user() -> str:
    """Return the name of the user that this process acts as."""
    return _name(os.geteuid())


def _why(folder: Path, path: Path, *, write: bool) -> HarnessError:
    """Return why this user may not: what a root is told of its own folder is never whose it is."""
    if write and _read_only(path):
        return SpoolUnusable(folder, f"{path} is on a disk that is mounted read-only")
    if path.is_symlink() and not _there(path):
        return SettingsError(
            f"{path} is a link to {path.readlink()}, which is not there.",
            "Expected a folder.",
            "Mount or make what it names, or name another folder.",
        )
    return SpoolForbidden(folder, f"{path} belongs to {owner_of(path)}", this_user())


def _read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _there(path: Path) -> bool:
    """Whether a link leads to something; one that this user may not follow may do."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _parts(folder: Path) -> Iterator[Path]:
    """Yield the folder and what a sidecar made in it; where it has still to be made, the folder above."""
    above = folder.absolute()
    while not _seen(above) and above != above.parent:
        above = above.parent
    yield above
    if above == folder.absolute():
        for path in _within(above):
            if path.name.startswith(OWN):
                yield path
                yield from _within(path)


def _within(folder: Path) -> list[Path]:
    """Return what lies in a folder; nothing for what is none, or cannot be listed."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _seen(path: Path) -> bool:
    try:
        path.lstat()
    except OSError:
        return False
    return True


def _may(path: Path, need: int) -> bool:
    """Whether this user may. What went meanwhile needs no right: other commands look while a sidecar runs."""
    effective = os.access in os.supports_effective_ids
    return os.access(path, need, effective_ids=effective) or not _seen(path)


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
