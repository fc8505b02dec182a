"""Clock steps: that somebody set the machine's clock meanwhile is noticed."""

from typing import Final

from recorders.clock import Clock

# Less than this is how a clock is kept right; and so much of the time that passed may be.
STEP_S: Final = 1.0
SLEW: Final = 0.001


class ClockSteps:
    """By how much the machine's clock was set since this was made. For one thread.

    `count` says how often, `total_s` by how much in all.
    """

    def __init__(self, clock: Clock) -> None:
        self.count = 0
        self.total_s = 0.0
        self._clock = clock
        self._ticks, self._wall = self._read()

    def look(self) -> float:
        """Return by how many seconds it was set since the last look; 0 for less than a step."""
        ticks, wall = self._read()
        passed = ticks - self._ticks
        step = wall - self._wall - passed
        self._ticks, self._wall = ticks, wall
        if abs(step) < STEP_S + SLEW * passed:
            return 0.0
        self.count += 1
        self.total_s += step
        return step

    def _read(self) -> tuple[float, float]:
        return self._clock.monotonic(), self._clock.now_us() / 1e6
