"""Where challengers' processes come from: one fresh interpreter that has imported our libraries and no model.

It forks a child in milliseconds where a new interpreter takes most of a second, so that every spare is
warm. It shares no memory with us, holds none of our environment and runs nobody's code but ours. It is
also the parent of its children: it alone knows which process id is still whose, so it alone kills.
"""

import atexit
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import replay
from replay import owners
from replay.isolation import strays
from replay.isolation.limits import Limits, environment

ROOT = Path(replay.__file__).parents[1]
_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from replay.keeper import keep; keep(int(sys.argv[2])); "
    "from replay.isolation.births import main; main(int(sys.argv[2]))"
)
_START_S = 60.0
_HOMES = "harness-challenger-"


class NurseryLost(Exception):  # noqa: N818  the caller makes another
    """The nursery's process has gone."""


class Nursery:
    """One nursery. Its calls may come from any thread."""

    def __init__(self, threads: int) -> None:
        ours, theirs = socket.socketpair()
        self._socket = ours
        self._lock = threading.Lock()
        self._died: dict[int, int] = {}
        self._heard = b""
        self._mark = strays.mark()
        strays.sweep()
        _sweep_homes()
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter, our own module
            [sys.executable, "-I", "-S", "-c", _BOOT, json.dumps(search_path()), str(theirs.fileno())],
            env=environment(Limits(threads=threads), "/", os.environ) | {strays.MARK: self._mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
        theirs.close()

    def fork(self, config: dict[str, Any], fds: tuple[int, int, int]) -> int:
        """Return the process id of a new child that holds `fds`: what it reads, writes and prints to.

        Raises:
            NurseryLost: nobody is there.
        """
        with self._lock:
            try:
                socket.send_fds(self._socket, [json.dumps(config).encode() + b"\n"], fds)
            except OSError as error:
                raise NurseryLost(str(error)) from error
            while (message := self._next(_START_S)) is not None:
                if "born" in message:
                    return int(message["born"])
        raise NurseryLost("no child in time")

    def wait(self, child: int, timeout_s: float) -> int | None:
        """Return how a child ended, as `os.waitstatus_to_exitcode` tells it; None when it has not in time.

        Raises:
            NurseryLost: nobody is there.
        """
        deadline = time.monotonic() + timeout_s
        with self._lock:
            while child not in self._died:
                if self._next(deadline - time.monotonic()) is None:
                    return None
            return self._died[child]

    def end(self, child: int) -> None:
        """Kill a child with all its process group, and wait until it is gone."""
        try:
            with self._lock:
                if child not in self._died:
                    self._socket.sendall(json.dumps({"end": child}).encode() + b"\n")
            self.wait(child, _START_S)
        except (OSError, NurseryLost):
            return  # its children went with it
        finally:
            self._died.pop(child, None)

    def _next(self, timeout_s: float) -> dict[str, int] | None:
        """Return the next message, None when there is none in time; ends are also kept."""
        while b"\n" not in self._heard:
            self._socket.settimeout(max(timeout_s, 0.001))
            try:
                heard = self._socket.recv(65_536)
            except TimeoutError:
                return None
            except OSError as error:
                raise NurseryLost(str(error)) from error
            finally:
                self._socket.settimeout(None)
            if not heard:
                raise NurseryLost("it has ended")
            self._heard += heard
        line, _, self._heard = self._heard.partition(b"\n")
        message: dict[str, int] = json.loads(line)
        if "died" in message:
            self._died[message["died"]] = message["status"]
        return message

    @property
    def alive(self) -> bool:
        """Whether its process runs; its keeper may have to end yet what it left."""
        if self._process.poll() is not None:
            return False
        ends = select.poll()
        ends.register(self._socket, 0)
        return not ends.poll(0)

    def close(self) -> None:
        """Let it end, with all its children."""
        self._socket.close()
        killed = self._process.wait() != 0
        strays.gone(self._mark)
        if killed:  # the keeper, which ends what is left, and no nursery may follow
            strays.sweep()


def new_home() -> "tempfile.TemporaryDirectory[str]":
    """Return a fresh folder for a child. Its nursery removes it when we are killed, once it knows of it."""
    return tempfile.TemporaryDirectory(prefix=f"{_HOMES}{owners.own()}-", ignore_cleanup_errors=True)


def _sweep_homes() -> None:
    """Remove the folders of those that were killed before their nursery knew of them, or together with it."""
    for home in owners.left_behind(Path(tempfile.gettempdir()), _HOMES):
        shutil.rmtree(home, ignore_errors=True)


def search_path() -> list[str]:
    """Return where this process imports from, absolute, and last where we are: a child imports the same."""
    return [str(Path(entry or ".").absolute()) for entry in sys.path] + [str(ROOT)]


_nurseries: dict[tuple[int, int], Nursery] = {}
_making = threading.Lock()


def nursery_for(threads: int) -> Nursery:
    """Return this process's nursery for children of `threads` threads; BLAS reads that number once, early.

    A fork of this process gets one of its own.
    """
    with _making:
        key = (os.getpid(), threads)
        found = _nurseries.get(key)
        if found is not None and not found.alive:
            found.close()
            found = None
        if found is None:
            found = _nurseries[key] = Nursery(threads)
        return found


@atexit.register
def _close_all() -> None:
    for (owner, _threads), nursery in _nurseries.items():
        if owner == os.getpid():
            nursery.close()
