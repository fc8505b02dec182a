"""Leaving: what was accepted reaches the log before its service goes on or ends, or is counted."""

import time
from collections.abc import Callable

from recorders.courier import POLL_S, Courier
from recorders.outbox import Outbox


def flush(outbox: Outbox, timeout_s: float) -> bool:
    """Return whether the log holds all that was accepted before this call. Waits up to the timeout."""
    if outbox.journal is not None and outbox.journal.interrupted():
        return False
    owed = {kind: tally.value for kind, tally in outbox.accepted.items()}
    outbox.hurry()
    deadline = time.monotonic() + timeout_s
    while any(outbox.settled[kind] < count for kind, count in owed.items()):
        if not time.monotonic() < deadline:  # of NaN, which a service may have computed, too
            return False
        time.sleep(POLL_S / 4)
    return not outbox.gave_up


def settle(outbox: Outbox, courier: Callable[[], Courier | None], timeout_s: float) -> bool:
    """Return whether the log holds everything and knows every loss. Waits up to the timeout.

    `courier` answers with who carries now: the first event may still be starting it.
    """
    outbox.hurry()
    _drain(outbox, courier, time.monotonic() + timeout_s)
    return outbox.drained and not outbox.gave_up


def close(outbox: Outbox, courier: Callable[[], Courier | None], timeout_s: float) -> tuple[bool, bool]:
    """Return what `settle` does, after which nothing is accepted, and whether nothing carries any more."""
    deadline = time.monotonic() + timeout_s
    outbox.close()
    _drain(outbox, courier, deadline)
    complete = outbox.drained
    outbox.abandon()
    complete = complete and not outbox.gave_up
    carrying = courier()
    return complete, carrying is None or carrying.stop(max(0.0, deadline - time.monotonic()) + POLL_S)


def _drain(outbox: Outbox, courier: Callable[[], Courier | None], deadline: float) -> None:
    while courier() is not None and not outbox.drained and time.monotonic() < deadline:
        time.sleep(POLL_S / 4)
