"""Damaged: a batch of the outbox whose row cannot be used is told to the log, so that all else goes on."""

import logging
from pathlib import Path
from typing import Any
from uuid import UUID

from recorders.sidecar.drafts import Draft, control
from recorders.sidecar.records import RowDamaged
from recorders.sidecar.report import sidecar_loss
from recorders.sidecar.salvage import keep_aside

_logger = logging.getLogger("recorders.sidecar")


def put_aside(folder: Path, spool: UUID, ordinal: int, error: Exception) -> Draft:
    """Return the report of batch `ordinal`, after what can be proven of it became a file of the quarantine.

    Raises:
        OSError: the disk does not take it.
    """
    details: dict[str, Any] = {"batches": 1, "ordinal": ordinal}
    if isinstance(error, RowDamaged) and error.payload is not None:
        details["file"] = f"damaged-{spool}-{ordinal}.bin"
        keep_aside(folder, details["file"], error.payload)
    _logger.error("Batch %d of the outbox cannot be read: %s", ordinal, error)
    return control(sidecar_loss(spool, spool, "batch_damaged", None, **details))
