"""A file that a command writes for its user: whole, or an error that says what to do."""

import errno
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from harness.errors import FileUnwritable, FolderUnusable
from recorders.errors import HarnessError

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class NoRoom(HarnessError):  # noqa: N818 - derives from HarnessError, which is an error
    """A disk, a quota or a limit left no room for a file. `reason` is the system's own."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(
            f'The file "{path}" was not written: {reason}.',
            "Expected room for all of it.",
            "Free some space there or name another file, and run the same command again.",
        )
        self.path = str(path)
        self.reason = reason


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Write `path` in this block. What the file system refuses is an error, and no new file is left half.

    Raises:
        NoRoom: the disk is full. FileUnwritable: anything else.
    """
    new = not path.exists()
    try:
        yield
    except OSError as error:
        if new:
            with suppress(OSError):
                _remove(path)
        raise refused(path, error) from error


def refused(path: object, error: OSError) -> HarnessError:
    """Return what to say of a file that could not be written."""
    reason = error.strerror or str(error)
    return NoRoom(path, reason) if error.errno in FULL else FileUnwritable(path, reason)


def unusable(path: Path, error: OSError) -> HarnessError:
    """Return what to say of a folder in which the file at `path` could not be written."""
    reason = error.strerror or str(error)
    return NoRoom(path, reason) if error.errno in FULL else FolderUnusable(path.parent, reason)


def _remove(path: Path) -> None:
    if stat.S_ISREG(path.lstat().st_mode):
        path.unlink()
