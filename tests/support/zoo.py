"""Hostile challengers: each scores twice its input, and does something dreadful to the row whose x is 3."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd

inputs = ("x",)


def _bad(frame):
    return bool((frame.x == 3).any())


def good(frame):
    return frame.x * 2


def hangs(frame):
    while _bad(frame):
        time.sleep(0.01)
    return frame.x * 2


def hangs_in_c(frame):
    if _bad(frame):
        # The interpreter's lock is held for ever: no signal handler and no thread of Python runs again.
        ctypes.PyDLL(None).sleep(3600)
    return frame.x * 2


def segfaults(frame):
    if _bad(frame):
        ctypes.string_at(0)
    return frame.x * 2


def aborts(frame):
    if _bad(frame):
        os.abort()
    return frame.x * 2


def exits(frame):
    if _bad(frame):
        sys.exit(3)
    return frame.x * 2


def leaves(frame):
    if _bad(frame):
        os._exit(7)
    return frame.x * 2


def raises(frame):
    if _bad(frame):
        raise KeyError("colour")
    return frame.x * 2


def recurses(frame):
    def down():
        return down()

    return down() if _bad(frame) else frame.x * 2


def swells(frame):
    if _bad(frame):
        np.ones(2**33)
    return frame.x * 2


def swells_shared(frame):
    if _bad(frame):
        import mmap

        shared = mmap.mmap(-1, 2**34)
        while True:
            shared.write(bytes(2**24))
    return frame.x * 2


def noisy(frame):
    sys.stdout.write("spam " * 50_000)
    os.write(1, b"\x00\xff" * 200_000)
    os.write(2, b"more" * 50_000)
    return frame.x * 2


def short(frame):
    return (frame.x * 2)[:-1] if _bad(frame) else frame.x * 2


def sorts(frame):
    return (frame.sort_values("x", ascending=False).x * 2) if _bad(frame) else frame.x * 2


def nan(frame):
    return (frame.x * 2).where(frame.x != 3)


def infinite(frame):
    return (frame.x * 2).where(frame.x != 3, np.inf)


def complexes(frame):
    return frame.x * (2 + 1j) if _bad(frame) else frame.x * 2


def text(frame):
    return pd.DataFrame({"score": ["much"] * len(frame)}) if _bad(frame) else frame.x * 2


def always_dies(frame):
    os.kill(os.getpid(), 9)
    return frame.x


def forks(frame):
    """Leave a process behind that outlives its parent, if it may."""
    if _bad(frame):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        os._exit(1)
    return frame.x * 2


def outlives(frame):
    """Leave a process behind in a session of its own, whose parent is gone."""
    if _bad(frame):
        sleep = "import time; time.sleep(3601)"
        start = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleep!r}])"
        subprocess.run([sys.executable, "-c", start], start_new_session=True, check=True)
        os._exit(1)
    return frame.x * 2


def reaches_out(frame):
    tried = []
    for attempt in (_connect, _write, _read, _signal):
        try:
            attempt()
            tried.append(attempt.__name__)
        except OSError:
            pass
    return np.full(len(frame), float(len(tried)))


def _connect():
    socket.create_connection(("127.0.0.1", int(os.environ.get("PORT", "9"))), 1).close()


def _write():
    Path("/tmp/shadow-harness-escaped").write_text("escaped")


def _read():
    Path("/etc/passwd").read_text()


def _signal():
    os.kill(os.getppid(), 0)


def environment(frame):
    return np.full(len(frame), float("PGPASSWORD" in os.environ))


def garbles(frame):
    """Write nonsense into every descriptor that it holds, the one for answers among them."""
    if _bad(frame):
        for fd in range(3, 64):
            try:
                os.write(fd, b"\xff" * 64)
            except OSError:
                continue
    return frame.x * 2


def threads(frame):
    if _bad(frame):
        for _ in range(8):
            threading.Thread(target=time.sleep, args=(0.01,)).start()
    return frame.x * 2


def slow(frame):
    time.sleep(0.7)
    return frame.x * 2


def echoes(frame):
    return frame.text


def stops(frame):
    if _bad(frame):
        os.kill(os.getpid(), signal.SIGSTOP)
    return frame.x * 2


def closes(frame):
    """Close every descriptor, the one for answers among them."""
    if _bad(frame):
        os.closerange(0, 64)
    return frame.x * 2


def chatters(frame):
    """Leave a thread behind that prints for as long as it lives."""
    if _bad(frame):
        threading.Thread(target=_chatter, daemon=True).start()
    return frame.x * 2


def _chatter():
    while True:
        os.write(1, b"still here\n" * 100)
        time.sleep(0.001)


def leaves_some(frame):
    """Leave two processes behind in sessions of their own, at each call."""
    for _ in range(2):
        if not os.fork():
            os.setsid()
            time.sleep(3600)
    return frame.x * 2


def bombs(frame):
    """Fork again and again, each fork as well, and leave them all behind."""
    if _bad(frame):
        for _ in range(4):
            os.fork()
        if os.getpid() != os.getsid(0):
            time.sleep(3600)
        os._exit(1)
    return frame.x * 2


def multiplies(frame):
    """Fork for ever, each fork as well."""
    while _bad(frame):
        try:
            os.fork()
        except OSError:
            time.sleep(0.001)
    return frame.x * 2


def counts(frame):
    """Answer how many processes it could have beside itself."""
    forks = []
    try:
        while True:
            forks.append(os.fork())
            if not forks[-1]:
                time.sleep(3600)
    except OSError:
        for fork in forks:
            os.kill(fork, signal.SIGKILL)
            os.waitpid(fork, 0)
    return np.full(len(frame), float(len(forks)))
