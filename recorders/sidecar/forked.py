"""Forked: whether the log has another history under a writer, or a row of the outbox is damaged."""

from recorders.errors import WriterForked
from recorders.sidecar.outbox import Outbox
from recorders.sidecar.records import Ready


def same_bytes(error: WriterForked) -> bool:
    """Return whether the log has the batch's own bytes there, under another header."""
    return bool(error.sent) and error.stored == error.sent


def claims_another(outbox: Outbox, ready: Ready) -> bool:
    """Return whether a batch has the sequence of one before it, which the log has acknowledged.

    Then its row is damaged: no sequence is given twice, except for what the log refused.
    """
    words = (word for word in reversed(outbox.receipts) if word.writer == ready.batch.writer.bytes)
    last = next(words, None)
    return last is not None and last.ordinal < ready.ordinal and ready.batch.sequence <= last.sequence
