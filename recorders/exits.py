"""Ends and forks of the process: what is queued leaves in bounded time, and a child writes as itself.

SIGTERM: the default action ends a process without atexit, and with it the last tenth of a second of
decisions. So the first recorder that is made in the main thread takes the signal over, but only where
that default action still stands: it closes, then ends the process by the same signal. A handler of
the service's own (every server has one) is left alone, for it leads to a clean exit; one that does
not can be chained to with `flush_on_sigterm`. `Limits(exit_s=0)` installs nothing.

uvicorn's leads to none where it loads the service late, as its workers do: it puts the default action back
and raises the signal again. There `AsgiMiddleware` settles when the service's lifespan ends.
"""

import atexit
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, Protocol


class Flushing(Protocol):
    """What is flushed and renewed here: a recorder."""

    def settle(self, timeout_s: float) -> bool:
        """Return whether everything has left in time, and go on."""
        ...

    def postpone(self, work: Callable[[], object]) -> bool:
        """Have `work` done once the event is kept that the caller interrupted. Return False if it did not."""
        ...

    def close(self, timeout_s: float) -> bool:
        """Accept no more, and return whether everything has left in time."""
        ...

    def renew(self) -> None:
        """Begin again as another writer: the process was forked."""
        ...


class _Exits:
    """The recorders of this process and the handlers that know them. One per process."""

    def __init__(self) -> None:
        self._recorders: weakref.WeakSet[Any] = weakref.WeakSet()
        self._carrying: set[Flushing] = set()
        self._hooked = False
        self._previous: Any = None
        self._exit_s = 0.0
        self._finalized = 0  # the process that has the finalizer

    def register(self, recorder: Flushing, exit_s: float) -> None:
        """Close `recorder` at exit, within `exit_s` together with all others, and renew it after a fork."""
        self._recorders.add(recorder)
        self._exit_s = max(self._exit_s, exit_s)
        if not self._hooked:
            self._hooked = True
            atexit.register(self._at_exit)
            os.register_at_fork(after_in_child=self._after_fork)
        in_main = threading.current_thread() is threading.main_thread()
        if exit_s > 0 and in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self.take_sigterm()

    def hold(self, recorder: Flushing) -> None:
        """Keep `recorder` until it is closed: the service may drop it while events wait in its queue."""
        self._carrying.add(recorder)
        self._end_with_multiprocessing()

    def _end_with_multiprocessing(self) -> None:
        """Close at the end of a `multiprocessing` child, which leaves without atexit.

        Only once its first event came: the child forgets finalizers that were made while it was forked.
        """
        util, process = (sys.modules.get(f"multiprocessing.{name}") for name in ("util", "process"))
        if util is None or process is None or process.parent_process() is None:
            return
        if self._finalized != os.getpid():
            self._finalized = os.getpid()
            util.Finalize(None, self._at_exit, exitpriority=100)

    def release(self, recorder: Flushing) -> None:
        """Forget a recorder that is closed."""
        self._carrying.discard(recorder)

    def take_sigterm(self) -> None:
        """Put the flush before what SIGTERM does now."""
        current = signal.getsignal(signal.SIGTERM)
        if current != self._on_sigterm:
            self._previous = current
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def _at_exit(self) -> None:
        deadline = time.monotonic() + self._exit_s
        for recorder in list(self._carrying):
            recorder.close(max(0.0, deadline - time.monotonic()))

    def _after_fork(self) -> None:
        self._carrying.clear()  # the parent's to end; a child's thread starts with its first event
        for recorder in list(self._recorders):
            recorder.renew()

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        again = partial(self._on_sigterm, number, frame)
        if any(recorder.postpone(again) for recorder in list(self._carrying)):
            return  # to wait here is to wait for ever: what was interrupted goes on, and then this does
        # What goes on afterwards may record more. What ends here says goodbye: else it looks like a kill.
        goes_on = callable(self._previous) or self._previous is signal.SIG_IGN
        deadline = time.monotonic() + self._exit_s
        for recorder in list(self._carrying):
            (recorder.settle if goes_on else recorder.close)(max(0.0, deadline - time.monotonic()))
        if callable(self._previous):
            self._previous(number, frame)
        elif self._previous is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


_exits = _Exits()


def register(recorder: Flushing, exit_s: float) -> None:
    """Take care of `recorder` at exit, at SIGTERM and after a fork."""
    _exits.register(recorder, exit_s)


def hold(recorder: Flushing) -> None:
    """Keep a recorder with a running thread, and what it has queued, until it is closed."""
    _exits.hold(recorder)


def release(recorder: Flushing) -> None:
    """Forget a recorder that is closed."""
    _exits.release(recorder)


def flush_on_sigterm() -> None:
    """Flush all recorders at SIGTERM, then do what the present handler does. From the main thread."""
    _exits.take_sigterm()
