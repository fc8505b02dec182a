"""Functions that engines map over parts: workers import them, so they live in a module."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import UnknownPosition


def square(part: int) -> int:
    return part * part


def has_imported(module: str) -> bool:
    return module in sys.modules


def refused(part: int) -> int:
    if part == 3:
        raise UnknownPosition(7, 5)
    return part


def killed_once(part: tuple[int, str]) -> int:
    """Die by kill -9 when this part is run for the first time by anybody; afterwards return its number."""
    number, folder = part
    try:
        (Path(folder) / str(number)).touch(exist_ok=False)
    except FileExistsError:
        return number
    os.kill(os.getpid(), signal.SIGKILL)
    return -1


def told(part: tuple[int, str]) -> int:
    """Tell that this part was run; return its number."""
    number, folder = part
    (Path(folder) / str(number)).touch()
    return number


def poison(part: int) -> int:
    if part == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return part


def poison_beside_a_slow_one(part: tuple[int, str]) -> int:
    """End the worker of every part but the first, which takes until another has ended three of them."""
    number, folder = part
    if number:
        (Path(folder) / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    while len(list(Path(folder).iterdir())) < 3:
        time.sleep(0.01)
    time.sleep(0.3)
    return number


def told_and_slow(folder: str) -> None:
    """Tell the own process id, then never come back."""
    (Path(folder) / f"{os.getpid()}.pid").touch()
    time.sleep(3_600)


def once_killed(folder: str, fn: Callable[[Any], Any], part: tuple[int, int]) -> Any:
    """Return what `fn` says of a part; the first time die by kill -9 when all the work is done."""
    result = fn(part)
    try:
        (Path(folder) / f"{type(part).__name__}-{part[0]}").touch(exist_ok=False)
    except FileExistsError:
        return result
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def executor_killed(folder: str, fn: Callable[[Any], Any], part: tuple[int, int]) -> Any:
    """Return what `fn` says of a part; the first one kills its executor when all the work is done."""
    result = fn(part)
    try:
        with (Path(folder) / "killed").open("x") as mark:
            mark.write(str(_executor()))
    except FileExistsError:
        return result
    os.kill(_executor(), signal.SIGKILL)
    time.sleep(60)  # this process goes with it
    return None


def poison_executor(part: int) -> int:
    """End the worker of whoever runs this part."""
    if part == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return part


def _executor() -> int:
    """Return the process id of the executor that began the process that forked this one."""
    for line in Path(f"/proc/{os.getppid()}/status").read_text().splitlines():
        if line.startswith("PPid:"):
            found = int(line.split()[1])
    assert b"java" in Path(f"/proc/{found}/cmdline").read_bytes()
    return found


def worker_of(_part: int) -> int:
    """Return the process that this runs in."""
    return os.getpid()
