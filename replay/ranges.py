"""Places and ranges in the log, as `replay` sees them."""

from datetime import datetime

import msgspec


class AsOf(msgspec.Struct, frozen=True):
    """A place in the log up to which things are known: positions above `position` do not exist.

    `time` (UTC) is the log's own time there, the only clock that `replay` and `policies` know.
    `digest` is the head of the chain at that batch, 64 hex digits;
    (epoch, position, digest) names the history.
    """

    epoch: int
    position: int
    time: datetime
    digest: str
