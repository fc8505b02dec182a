"""How much memory a challenger holds, with all that it started: the limit of one process is none of ten."""

import resource
from collections.abc import Iterator
from pathlib import Path

_PAGE = resource.getpagesize()
_KILOBYTES = 1024
# Of more than so many the system takes too long to tell what they share: a challenger may have hundreds.
_TOLD = 16


def resident_bytes(pid: int) -> int:
    """Return what a process and those below it hold resident; what they share counts for each of them.

    0 where it has ended, or where the system does not tell.
    """
    return sum(_pages(one) for one in family(pid)) * _PAGE


def held_bytes(pid: int) -> int:
    """Return the same with what is shared counted once, which takes longer to tell.

    Of a crowd it is the least: each holds of its own what is beyond all that it can have from the first.
    """
    ones = list(family(pid))
    if len(ones) <= _TOLD:
        return sum(map(_share, ones))
    own, *others = (_pages(one, shared=False) for one in ones)
    return (own + sum(max(0, other - own) for other in others)) * _PAGE


def family(pid: int) -> Iterator[int]:
    """Yield a process and those below it. Who lost its parent is below the nursery, and not told apart."""
    todo = [pid]
    while todo:
        one = todo.pop()
        yield one
        try:
            for thread in Path(f"/proc/{one}/task").iterdir():
                todo += map(int, (thread / "children").read_text().split())
        except OSError:
            continue  # it has ended meanwhile, or this kernel does not tell


def _pages(pid: int, *, shared: bool = True) -> int:
    """Return the pages that are resident; `shared` are those of files and of shared memory."""
    try:
        _size, resident, of_files, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
    except (OSError, ValueError):
        return 0
    return resident if shared else resident - of_files


def _share(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return _pages(pid) * _PAGE
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * _KILOBYTES
