"""What workers of this machine have in places that all share, under the name of whom they work for."""

import multiprocessing.process
import os
import shutil
import tempfile
from contextlib import suppress
from multiprocessing.util import Finalize
from pathlib import Path

from replay import owners

_SEMAPHORES, _FOLDERS = "harness-", "harness-workers-"
# sun_path has 108 bytes with the zero at its end, and the folder has a name by chance, the socket in it too.
_SOCKET_BYTES_MAX, _BY_CHANCE = 107, "12345678/listener-12345678"
# Where the C library keeps semaphores that have a name, and what it puts before that name.
_MEMORY, _OF_SEMAPHORES = Path("/dev/shm"), "sem."  # noqa: S108  no file of ours: read and removed by owner


def belong() -> None:
    """Let the semaphores and the sockets of workers that begin from now on bear this process's name.

    Python names both by chance. After a kill -9 nobody could tell whose they were: a folder stayed for each
    run that was killed, and where its group was killed with it, a dozen semaphores in shared memory. Now
    whoever comes next removes what is of processes that run no more. Where nobody can name a process,
    Python's own names stay, as that of the folder does where the temporary folder's is so long that no socket
    would have room in it.
    """
    owner = owners.own()
    if not owner:
        return
    _sweep()
    # Python has no other way to say it; these two have been there since it has fork servers.
    config = multiprocessing.process.current_process()._config  # type: ignore[attr-defined]  # noqa: SLF001
    config["semprefix"] = f"/{_SEMAPHORES}{owner}"
    prefix = f"{_FOLDERS}{owner}-"
    fits = len(os.fsencode(Path(tempfile.gettempdir(), prefix + _BY_CHANCE))) <= _SOCKET_BYTES_MAX
    # A fork has its parent's: that one may end before it.
    if fits and not Path(config.get("tempdir") or "").name.startswith(prefix):
        config["tempdir"] = tempfile.mkdtemp(prefix=prefix)
        Finalize(
            None,
            shutil.rmtree,
            args=(config["tempdir"],),
            kwargs={"ignore_errors": True},
            exitpriority=-100,
        )


def _sweep() -> None:
    for folder in owners.left_behind(Path(tempfile.gettempdir()), _FOLDERS):
        shutil.rmtree(folder, ignore_errors=True)
    for semaphore in owners.left_behind(_MEMORY, f"{_OF_SEMAPHORES}{_SEMAPHORES}"):
        with suppress(OSError):
            semaphore.unlink()
