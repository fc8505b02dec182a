"""The world that every test reads: paired accuracy, 85 % agreement, 100 looks of 400 decisions, seeded."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

ALPHA, LOOKS, PER_LOOK, DISCORDANT = 0.05, 100, 400, 0.15
EFFECT = 0.01
RUNS, CHUNK = 24_000, 1_000
FIXED_N = 11_773  # what a single planned look needs for 80 % power at +1 percentage point
_BOTH_RIGHT = 0.675
Counts = npt.NDArray[np.int64]


class Cells(NamedTuple):
    """Counts by each look, shape (runs, looks): who was right on how many decisions."""

    both: Counts
    better: Counts
    worse: Counts


def cells(effect: float, part: int) -> Cells:
    """Return a thousand runs: the challenger's accuracy is above the champion's by `effect`."""
    odds = [_BOTH_RIGHT, (DISCORDANT + effect) / 2, (DISCORDANT - effect) / 2]
    rng = np.random.default_rng(1_000 * round(100 * effect) + part)
    drawn = rng.multinomial(PER_LOOK, [*odds, 1 - sum(odds)], size=(CHUNK, LOOKS)).cumsum(axis=1)
    return Cells(drawn[..., 0], drawn[..., 1], drawn[..., 2])
