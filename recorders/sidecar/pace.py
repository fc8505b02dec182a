"""Pace: how much a shipper composes at once, how long it waits, and for how long it keeps what it shipped."""

import random
from typing import NamedTuple


class Pace(NamedTuple):
    """How the shipper composes, waits and keeps. Times in seconds."""

    target_events: int = 4_000
    linger_s: float = 1.0
    retain_s: float = 86_400.0
    backoff_s: float = 0.2
    backoff_max_s: float = 15.0

    def wait_s(self, attempts: int) -> float:
        """Return how long to wait after failure number `attempts`: doubled each time, half of it by chance.

        >>> 7.5 <= Pace().wait_s(100) <= 15.0
        True
        """
        wait = min(self.backoff_max_s, self.backoff_s * 2.0 ** min(attempts, 30))
        return wait * (0.5 + random.random() / 2)  # noqa: S311  # jitter, no secret
