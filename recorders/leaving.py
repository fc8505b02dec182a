"""Leaving: what was accepted reaches the log before its service goes on or ends, or is counted."""

import time
from collections.abc import Callable

from recorders.courier import POLL_S, Courier
from recorders.outbox import Outbox


def flush(outbox: Outbox, timeout_s: float) -> bool:
    """Return whether the log holds all that was accepted before this call. Waits up to the timeout."""
    owed = {kind: tally.value for kind, tally in outbox.accepted.items()}
    outbox.hurry()
    deadline = time.monotonic() + timeout_s
    while any(outbox.settled[kind] < count for kind, count in owed.items()):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S / 4)
    return not outbox.gave_up


def close(outbox: Outbox, courier: Callable[[], Courier | None], timeout_s: float) -> tuple[bool, bool]:
    """Return whether the log holds everything and knows every loss, and whether nothing carries any more.

    `courier` answers with who carries now: the first event may still be starting it.
    """
    deadline = time.monotonic() + timeout_s
    outbox.close()
    while courier() is not None and not outbox.drained and time.monotonic() < deadline:
        time.sleep(POLL_S / 4)
    complete = outbox.drained
    outbox.abandon()
    complete = complete and not outbox.gave_up
    carrying = courier()
    return complete, carrying is None or carrying.stop(max(0.0, deadline - time.monotonic()) + POLL_S)
