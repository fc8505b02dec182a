"""The courier: the one background thread of a recorder, which carries frames from outbox to link."""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from recorders.errors import AppendError, EventAhead, LinkUnavailable
from recorders.frame import Frame
from recorders.link import Link
from recorders.outbox import Outbox

POLL_S: Final = 0.02
HELD_UP_S: Final = 5.0  # more than a busy machine makes of a poll
_logger = logging.getLogger("recorders")


def carry(outbox: Outbox, link: Link) -> bool:
    """Send what is due and tell the outbox what became of it. Return whether there was anything.

    This is all that happens between outbox and link: the thread below calls it, and so does the simulation.
    """
    frame = outbox.next_frame()
    if frame is None:
        return False
    try:
        receipt = link.send(frame)
    except LinkUnavailable as error:
        outbox.failed()
        _logger.warning("Frame %d of writer %s waits. %s", frame.sequence, frame.writer, error)
    except EventAhead as error:
        _leave_out(outbox, frame, error)
    except AppendError as error:
        outbox.refused()
        _logger.error("Recording stopped: frame %d of writer %s. %s", frame.sequence, frame.writer, error)  # noqa: TRY400  # the message is the remedy; a trace adds none
    else:
        outbox.acked(frame, receipt)
    return True


def _leave_out(outbox: Outbox, frame: Frame, error: EventAhead) -> None:
    """Go on without the events that are ahead; where nobody can say which are, wait until somebody can."""
    try:
        left = outbox.leave_out(frame, error)
    except AppendError as apart:
        outbox.failed()
        _logger.warning("Frame %d of writer %s waits. %s", frame.sequence, frame.writer, apart)
    else:
        _logger.error("%d events of writer %s are left out and counted. %s", left, frame.writer, error)


class Courier:
    """Carries until told to stop. It polls: waking a thread for each event costs the request path more.

    `watch` is called every `watch_s` seconds by a thread of its own: a link that hangs holds the other up.
    """

    def __init__(self, outbox: Outbox, link: Link, watch: Callable[[], None], watch_s: float) -> None:
        self._outbox = outbox
        self._link = link
        self._watch = watch
        self._watch_s = max(watch_s, POLL_S)
        self._stopping = threading.Event()
        self._held_up = False
        looks = threading.Thread(target=self._look, name="recorder-switch", daemon=True)
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        try:
            looks.start()
            self._thread.start()
        except BaseException:  # no thread can be had, or a signal's handler raised
            self._stopping.set()  # who asked has no courier: a thread that began meanwhile ends
            raise

    def stop(self, timeout_s: float) -> bool:
        """Stop after the frame that is under way. Return whether the thread has ended in time."""
        self._stopping.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _look(self) -> None:
        while not self._stopping.wait(self._watch_s):
            self._watch()

    def _run(self) -> None:
        ended = False
        try:
            while not self._stopping.is_set():
                if not carry(self._outbox, self._link):
                    self._pause()
            ended = True
        finally:
            if not ended:
                self._outbox.refused()  # an error that no link may raise: the thread's trace names it

    def _pause(self) -> None:
        """Wait for more, and say so, once, where the process does not let this thread go on."""
        asked = time.monotonic()
        time.sleep(POLL_S)
        waited_s = time.monotonic() - asked
        if waited_s >= HELD_UP_S and not self._held_up:
            self._held_up = True
            _logger.warning(
                "The recorder's thread of process %d could not run for %.1f s. Expected a service that lets "
                "threads run while it waits for requests. Under uWSGI set enable-threads: until then what is "
                "recorded leaves only while requests come, and at the end.",
                os.getpid(),
                waited_s,
            )
