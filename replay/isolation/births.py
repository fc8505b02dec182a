"""The nursery's process: forks a challenger's child when told to, reaps it, kills it when told to."""

import ctypes
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

# Imported before the first fork: this is what makes a child warm.
import pandas as pd

from replay.isolation import child, crowd, serving
from replay.keeper import end_children

assert pd, "it is imported here so that no child has to, as serving is"
assert serving

_ADOPTS = 36  # PR_SET_CHILD_SUBREAPER


def main(fd: int) -> None:
    """Serve until our parent's end of the socket closes; then every child is killed."""
    _Nursery(socket.socket(fileno=fd)).run()


class _Nursery:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._living: set[int] = set()
        self._homes: set[str] = set()  # of children, the dead included: a parent that was killed removes none
        if sys.platform.startswith("linux"):
            # What a child leaves in a session of its own becomes ours when it ends, and not the system's.
            ctypes.CDLL(None).prctl(_ADOPTS, 1, 0, 0, 0)
        self._wake, signalled = os.pipe()
        for end in (self._wake, signalled):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._inherited = (control.fileno(), self._wake, signalled)

    def run(self) -> None:
        """Wait for orders and for deaths."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        heard, fds = b"", list[int]()
        while True:
            ready = dict(poll.poll())
            if self._wake in ready:
                os.read(self._wake, 512)
                self._reap()
            if self._control.fileno() not in ready:
                continue
            more, new = self._told()
            if not more:
                break
            heard, fds = heard + more, fds + new
            while b"\n" in heard:
                line, _, heard = heard.partition(b"\n")
                fds = self._obey(json.loads(line), fds)
        self._end_all()

    def _end_all(self) -> None:
        ended, self._living = self._living, set()
        for pid in ended:
            crowd.close(pid)
            _kill(pid)
            os.waitpid(pid, 0)
        end_children()
        for pid in ended:
            crowd.remove(pid)
        for home in self._homes:
            shutil.rmtree(home, ignore_errors=True)

    def _told(self) -> tuple[bytes, list[int]]:
        """Return orders and what came with them; nothing when our parent is gone."""
        try:
            more, new, _flags, _address = socket.recv_fds(self._control, 2**20, 3)
        except ConnectionResetError:  # killed before it had read all that we told it
            return b"", []
        return more, new

    def _obey(self, order: dict[str, Any], fds: list[int]) -> list[int]:
        if "end" in order:
            if order["end"] in self._living:
                crowd.close(order["end"])
                _kill(order["end"])
            return fds
        for library in order["libraries"]:
            # Once here instead of in each child. Where it is not installed, the child says so itself.
            with suppress(ImportError):
                importlib.import_module(library)
        pid = os.fork()
        if pid == 0:
            self._become_child(order, fds)
        for fd in fds:
            os.close(fd)
        self._living.add(pid)
        self._homes = {home for home in self._homes if Path(home).exists()} | {order["home"]}
        self._say({"born": pid})
        return []

    def _become_child(self, order: dict[str, Any], fds: list[int]) -> NoReturn:
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for fd in self._inherited:
                os.close(fd)
            read, write, noise = fds
            os.dup2(noise, 1)
            os.dup2(noise, 2)
            os.close(noise)
            child.main(order, read, write)
        except BaseException:
            try:
                traceback.print_exc()
            finally:  # what it left of standard error may raise as well
                os._exit(1)
            raise
        os._exit(0)

    def _reap(self) -> None:
        """Tell each end. What a child left running is killed while its process id cannot mean another."""
        for pid in sorted(self._living):
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            if ended is None:
                continue
            crowd.close(pid)
            _kill(pid)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            self._living.remove(pid)
            # What a child that is gone left behind is ours then, and ends as well.
            end_children(frozenset(self._living))
            crowd.remove(pid)
            self._say({"died": pid, "status": status})

    def _say(self, message: dict[str, int]) -> None:
        with suppress(ConnectionError):  # killed meanwhile; the end of what it tells us is read next
            self._control.sendall(json.dumps(message).encode() + b"\n")


def _kill(pid: int) -> None:
    """Kill a child of ours that is not reaped yet, with its group."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(pid, signal.SIGKILL)  # it has no group of its own yet
