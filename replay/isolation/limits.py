"""What a challenger may use, set by the kernel on its own process before it loads anything."""

import os
import resource
import sys
from collections.abc import Mapping

import msgspec

# Which kernel of BLAS is chosen decides the last bits: a child must choose as its parent does.
_KEPT = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_CBWR", "LD_LIBRARY_PATH")
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
    "POLARS_MAX_THREADS",
)


class Limits(msgspec.Struct, frozen=True):
    """The bounds of one challenger; docs/adr/0027 says why these.

    `timeout_s` is the wall time of one block, `open_timeout_s` that of loading. `memory_mb` bounds what
    the process can write to (RLIMIT_DATA), and what it holds resident with all that it started, shared memory
    too, is watched.
    `cpu_s` bounds one process, which is replaced before it gets there. `files` bounds what is open,
    `file_mb` each file written in its own folder, `processes` how many processes and threads there are at
    once. `network` lets it connect. `kills_max` ends within a run, beyond one in eight blocks, open the
    circuit. `priority` is its nice value. `in_process` is no isolation at all, for code that is trusted as
    our own is.
    """

    timeout_s: float = 10.0
    open_timeout_s: float = 120.0
    memory_mb: int = 4096
    cpu_s: int = 3600
    files: int = 256
    file_mb: int = 256
    processes: int = 256
    threads: int = 1
    network: bool = False
    kills_max: int = 48
    priority: int = 5
    in_process: bool = False


def environment(limits: Limits, home: str, parent: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of a child: nothing of ours that could be a secret is in it.

    >>> environment(Limits(), "/tmp/x", {"PGPASSWORD": "secret"})["OMP_NUM_THREADS"]
    '1'
    """
    kept = {name: parent[name] for name in _KEPT if name in parent}
    threads = dict.fromkeys(_THREADS, str(limits.threads))
    # A block is a quarter of a megabyte: what is freed is kept for the next one, not faulted in again.
    memory = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**26)}
    own = {"HOME": home, "TMPDIR": home, "LC_ALL": "C.UTF-8", "TZ": "UTC", "PATH": "/usr/bin:/bin"}
    return {
        **kept,
        **threads,
        **memory,
        **own,
        "PYTHONHASHSEED": "0",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }


def apply_limits(limits: Limits) -> None:
    """Set the limits on this very process; they can be lowered afterwards, never raised."""
    megabyte = 2**20
    for what, most in (
        (resource.RLIMIT_DATA, limits.memory_mb * megabyte),
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_NOFILE, limits.files),
        (resource.RLIMIT_FSIZE, limits.file_mb * megabyte),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (bound, bound))
    os.nice(limits.priority)
    sys.dont_write_bytecode = True
