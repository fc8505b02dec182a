"""Never taken: what the log refuses for what it holds leaves the outbox, so that all else goes on."""

import logging
from typing import Final

from recorders.ahead import AHEAD, agreed
from recorders.clock import Clock
from recorders.errors import CorruptBatch, EventAhead
from recorders.sidecar.ahead import Horizon, Mend
from recorders.sidecar.errors import ManyRefused
from recorders.sidecar.outbox import Outbox
from recorders.sidecar.records import Ready
from recorders.sidecar.refused import Replacement
from recorders.sidecar.spool import Spool

# One batch may be damaged. When so many are refused and none is taken between, it is not the batches.
REFUSED_MAX: Final = 3
_logger = logging.getLogger("recorders.sidecar")


class NeverTaken:
    """Takes what one log never takes out of one outbox; it is in the quarantine first. For one thread.

    `refused` counts the batches that were put aside.
    """

    def __init__(self, spool: Spool, outbox: Outbox, clock: Clock) -> None:
        self.horizon = Horizon(clock.monotonic)
        self.refused = 0
        self._spool = spool
        self._outbox = outbox
        self._clock = clock
        self._in_a_row = 0

    def taken(self, ready: Ready) -> None:
        """Take note that the log takes batches: one that it refuses is then wrong by itself."""
        if ready.batch.kind != "control":
            self._in_a_row = 0

    def out(self, ready: Ready, error: EventAhead | CorruptBatch) -> int:
        """Let the outbox go on without what is refused. Return how many batches are written on for it.

        Raises:
            AppendError: our clock and the log's are apart: nobody knows which events are wrong.
            ManyRefused: too many batches after each other. What waits stays as it is, as before.
        """
        if self._written_on(ready):
            return 0
        return self._ahead(ready, error) if isinstance(error, EventAhead) else self._corrupt(ready, error)

    def _ahead(self, ready: Ready, error: EventAhead) -> int:
        """Take the events that are ahead out of all that waits; from now on none is composed with any."""
        theirs = agreed(error, self._clock)
        mend = Mend(theirs + AHEAD, self._spool.folder, self._spool.owner)
        count = self._outbox.rewrite(ready.ordinal, "events ahead of the log's clock", mend)
        self.horizon.learn(theirs)
        self.horizon.left_out += mend.left_out
        _logger.error("%s Such events are in quarantine/; %d batches go on without", error.happened, count)
        return count

    def _corrupt(self, ready: Ready, error: CorruptBatch) -> int:
        """Put a batch aside that the log calls unusable, or mend its header where that is what is damaged."""
        if self._in_a_row >= REFUSED_MAX:
            raise ManyRefused(self._in_a_row, ready.batch.sequence, error.what)
        replace = Replacement(ready.ordinal, error.what, self._spool.folder, self._spool.owner)
        count = self._outbox.rewrite(ready.ordinal, "a batch that the log refuses", replace)
        self._in_a_row += 1
        self.refused += replace.put_aside
        how = "is in quarantine/" if replace.put_aside else "goes on with the header that its bytes say"
        _logger.error("Batch %d of writer %s %s. %s", ready.batch.sequence, ready.batch.writer, how, error)
        return count

    def _written_on(self, ready: Ready) -> bool:
        """Go on with what took the place of a batch earlier: a restored log is shipped all that is kept."""
        written = self._outbox.ordinal_of(ready.batch.writer.bytes, ready.batch.sequence)
        if written is None or written <= ready.ordinal:
            return False
        self._outbox.ship_again_after(written - 1)
        return True
