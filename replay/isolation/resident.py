"""How much memory a challenger holds, with all that it started: the limit of one process is none of ten."""

import resource
from collections.abc import Iterator
from pathlib import Path

_PAGE = resource.getpagesize()
_KILOBYTES = 1024


def resident_bytes(pid: int) -> int:
    """Return what a process and those below it hold resident; what they share counts for each of them.

    0 where it has ended, or where the system does not tell.
    """
    return sum(_pages(one) for one in family(pid)) * _PAGE


def held_bytes(pid: int) -> int:
    """Return the same with what is shared counted once, which takes longer to tell."""
    return sum(_share(one) for one in family(pid))


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


def _pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0


def _share(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return _pages(pid) * _PAGE
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * _KILOBYTES
