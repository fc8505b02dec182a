"""The clock port: the only way in which a recorder's sending side knows the time."""

import time
from typing import Final, Protocol

_LASTING: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


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


class LastingClock(SystemClock):
    """The machine's clock, for what is kept for a time: while the machine sleeps that time goes on.

    Where the system has no such clock (Linux alone does) it is the one that stands still.
    """

    def monotonic(self) -> float:
        """Return seconds that never go back, those that the machine slept with them."""
        return time.clock_gettime(_LASTING)
