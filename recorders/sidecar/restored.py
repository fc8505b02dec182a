"""Restored: what a log that was put back lacks is shipped again, or reported as lost."""

import logging
from collections.abc import Collection
from uuid import UUID

from recorders.errors import Rewound, SequenceGap
from recorders.sidecar.drafts import control
from recorders.sidecar.outbox import Outbox
from recorders.sidecar.records import Ready
from recorders.sidecar.report import sidecar_loss

_logger = logging.getLogger("recorders.sidecar")


def go_back(
    outbox: Outbox,
    ready: Ready,
    error: Rewound | SequenceGap,
    *,
    spool: UUID,
    unreadable: Collection[int],
    again: bool,
) -> int:
    """Let the outbox go on behind what the log has. Return how many batches go under another writer for it.

    When the log has nothing of this writer, what earlier writers sent may be gone as well: all that is kept
    goes again. What the log has is a duplicate, and harmless. What is no longer kept, or is one of
    the ordinals `unreadable`, is reported by `spool`. Who comes here `again`, and did not meet on the way
    what the log lacks, would go back for ever: that is damaged.
    """
    writer, have = ready.batch.writer, error.have
    target = outbox.ordinal_of(writer.bytes, have + 1) if have else outbox.first_kept
    if target is not None and target < ready.ordinal and target not in unreadable and not again:
        _logger.warning("The log has writer %s up to %d: shipping again from batch %d", writer, have, target)
        outbox.ship_again_after(target - 1)
        return 0
    lost = [have + 1, ready.batch.sequence - 1]
    event = sidecar_loss(spool, writer, "not_retained", None, batches=lost[1] - have, sequences=lost)
    outbox.compose([control(event)], outbox.composed)
    count = outbox.rewrite(ready.ordinal, f"batches {lost[0]} to {lost[1]} are lost")
    _logger.error("Batches %d to %d of writer %s are lost; %d go on under another", *lost, writer, count)
    return count


def awaits_recovery(outbox: Outbox, error: Rewound) -> bool:
    """Return whether the log lacks what it acknowledged in its epoch or a later one.

    Batches that it sealed go back to their positions first: what is shipped until then would lie there.
    """
    words = (word for word in outbox.receipts if word.writer == error.writer.bytes)
    epoch = error.epoch
    return epoch is not None and any(one.epoch >= epoch and one.sequence > error.have for one in words)
