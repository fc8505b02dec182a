"""The command `harness` of a process: what Ctrl-C does while it is being imported, then the command line."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTED = 130
TERMINATED = 143


@contextmanager
def at_once() -> Iterator[None]:
    """End the process at once on SIGINT in this block: nothing may be open yet.

    An interrupt that is raised in the middle of an import comes out as a traceback, or as an error of the
    import's own. A process that ignores SIGINT, as under `nohup`, goes on ignoring it.
    """
    before = signal.getsignal(signal.SIGINT)
    ours = threading.current_thread() is threading.main_thread()  # the one that may set what a signal does
    if not ours or before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def main() -> None:
    """Run the command line of this process and end it with its exit code."""
    with at_once():
        from harness.cli.main import run
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run())


def _end(_number: int, _frame: Any) -> None:
    os.write(sys.stderr.fileno(), b"Interrupted.\n")
    os._exit(INTERRUPTED)


def _terminate(_number: int, _frame: Any) -> None:
    # Ends through the stack, so that the log is closed and the embedded server is not left behind.
    raise SystemExit(TERMINATED)
