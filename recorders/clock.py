"""The clock port: the only way in which a recorder's sending side knows the time."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time: monotonic for waits, UTC microseconds for what is written down."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...

    def now_us(self) -> int:
        """Return microseconds since 1970 in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def now_us(self) -> int:
        """Return microseconds since 1970 in UTC."""
        return time.time_ns() // 1000
