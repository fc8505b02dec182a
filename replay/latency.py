"""Latencies as a histogram that merges: integers in buckets whose width is at most 1/16 of their value."""

import math
from collections.abc import Iterable, Mapping

_FINE_BITS = 4
_FINE = 1 << _FINE_BITS


class Latencies:
    """Counts of whole microseconds by bucket; the histogram of two runs is the sum of both, in any order.

    >>> few = Latencies()
    >>> few.add(7), few.add(1_000), few.percentile(0.5), few.percentile(1.0)
    (None, None, 7, 1023)
    """

    def __init__(self, buckets: Mapping[int, int] | None = None) -> None:
        self.buckets: dict[int, int] = dict(buckets or {})

    def add(self, microseconds: int) -> None:
        """Count one."""
        bucket = _bucket(max(0, microseconds))
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def extend(self, microseconds: Iterable[int]) -> None:
        """Count each."""
        for value in microseconds:
            self.add(value)

    def merge(self, other: "Latencies") -> None:
        """Add what another histogram counted."""
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self.buckets.values())

    def percentile(self, share: float) -> int | None:
        """Return the upper edge of the bucket that holds the value at `share` of all; None when empty."""
        assert 0.0 < share <= 1.0, share
        left = math.ceil(share * self.count)
        for bucket in sorted(self.buckets):
            left -= self.buckets[bucket]
            if left <= 0:
                return _last_in(bucket)
        return None

    def summary(self) -> dict[str, int | None]:
        """Return the count and the usual percentiles, in microseconds."""
        shares = {"p50_us": 0.5, "p90_us": 0.9, "p99_us": 0.99, "max_us": 1.0}
        return {"count": self.count} | {name: self.percentile(share) for name, share in shares.items()}


def _bucket(value: int) -> int:
    if value < _FINE:
        return value
    power = value.bit_length() - 1 - _FINE_BITS
    return (power + 1) * _FINE + (value >> power) - _FINE


def _last_in(bucket: int) -> int:
    power, fine = divmod(bucket, _FINE)
    return bucket if power == 0 else ((fine + _FINE + 1) << (power - 1)) - 1
