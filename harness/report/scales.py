"""From values to pixels, and the ticks where a value is read off."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear scale from the domain [low, high] to pixels [start, stop]."""

    low: float
    high: float
    start: float
    stop: float

    def __post_init__(self) -> None:
        assert self.high > self.low, "an empty domain has no scale"

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; values outside the domain land outside the pixels."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)

    def clip(self, value: float) -> tuple[float, int]:
        """Return the pixel held inside the domain, and -1, 0 or +1 for the side that was clipped.

        >>> Linear(0, 1, 0, 100).clip(1.5)
        (100.0, 1)
        """
        held = min(max(value, self.low), self.high)
        return self(held), (value > self.high) - (value < self.low)

    def ticks(self, wanted: int) -> list[float]:
        """Return round values inside the domain, about `wanted` of them."""
        return ticks(self.low, self.high, wanted)


@dataclass(frozen=True, slots=True)
class Log:
    """A logarithmic scale from the domain [low, high], both above 0, to pixels [start, stop]."""

    low: float
    high: float
    start: float
    stop: float

    def __post_init__(self) -> None:
        assert 0 < self.low < self.high, "a log scale needs 0 < low < high"

    def __call__(self, value: float) -> float:
        """Return the pixel of a value above 0, held inside the domain."""
        held = min(max(value, self.low), self.high)
        share = math.log(held / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """Return 1, 2 and 5 times powers of ten inside the domain."""
        first = math.floor(math.log10(self.low))
        last = math.ceil(math.log10(self.high))
        values = [step * 10.0**power for power in range(first, last + 1) for step in (1, 2, 5)]
        return [value for value in values if self.low * 0.999 <= value <= self.high * 1.001]


def step(span: float, wanted: int) -> float:
    """Return the tick distance of 1, 2 or 5 times a power of ten that gives at most `wanted` steps in `span`.

    >>> step(0.0136, 7), step(400_000, 4)
    (0.002, 100000.0)
    """
    assert span > 0, "ticks need a span"
    assert wanted > 0, "ticks need a number of steps"
    raw = span / wanted
    power = math.floor(math.log10(raw))
    for lead in _STEPS:
        size = round(lead * 10.0**power, max(0, -power + 1))
        if size >= raw * (1 - 1e-9):
            return size
    return 10.0 ** (power + 1)


def ticks(low: float, high: float, wanted: int) -> list[float]:
    """Return the multiples of a round step inside [low, high].

    >>> ticks(-0.0069, 0.0069, 7)
    [-0.006, -0.004, -0.002, 0.0, 0.002, 0.004, 0.006]
    """
    size = step(high - low, wanted)
    first = math.ceil(low / size - 1e-9)
    last = math.floor(high / size + 1e-9)
    digits = decimals(size) + 1
    return [round(index * size, digits) + 0.0 for index in range(first, last + 1)]


def decimals(size: float) -> int:
    """Return the decimals that write a tick distance exactly.

    >>> decimals(0.002), decimals(0.5), decimals(20)
    (3, 1, 0)
    """
    return max(0, -math.floor(math.log10(size) + 1e-9))


def symmetric(values: Sequence[float], *, factor: float = 1.1, empty: float = 1.0) -> float:
    """Return the half width of a domain about 0 that holds all values with a tenth to spare.

    All zero (no variation, no margin) gives `empty`, so that axes exist.

    >>> symmetric([]), symmetric([0.0], empty=0.005), round(symmetric([-2.0, 1.0]), 3)
    (1.0, 0.005, 2.2)
    """
    widest = max((abs(value) for value in values), default=0.0)
    return widest * factor if widest > 0 else empty


def round_up(value: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten at or above a positive value.

    >>> round_up(5.2), round_up(0.02), round_up(383_214)
    (10.0, 0.02, 500000.0)
    """
    return step(value, 1)
