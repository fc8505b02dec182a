"""The gate before asymptotic sequences: without it rare losses break them, behind it they hold their level.

1,000 seeded runs, 100 looks of 400 decisions, alpha = 0.05; tolerance three standard errors.
"""

import math

import numpy as np
import pytest

from policies.accumulators import Moments
from policies.asymptotic import LARGEST_MAX, SIGNS_MIN, UNITS_MIN, asymptotic_sequence, half_width

ALPHA, RUNS, LOOKS, PER_LOOK = 0.05, 1_000, 100, 400
TOLERANCE = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)
N = PER_LOOK * np.arange(1, LOOKS + 1)


def missed(better, worse, *, gated):
    """The share of runs in which the sequence misses the true mean at some look that may be shown."""
    rng = np.random.default_rng(41)
    drawn = rng.multinomial(PER_LOOK, [better, worse, 1 - better - worse], size=(RUNS, LOOKS)).cumsum(axis=1)
    b, c = drawn[..., 0], drawn[..., 1]
    mean = (b - c) / N
    deviation = np.sqrt(np.maximum((b + c) / N - mean**2, 0.0))
    unit = np.array([half_width(int(n), 1.0, ALPHA, 10_000) for n in N])
    wrong = np.abs(mean - (better - worse)) > deviation * unit
    if gated:
        wrong &= (N >= UNITS_MIN) & (np.minimum(b, c) >= SIGNS_MIN) & (LARGEST_MAX * (b + c) >= 1)
    return float(wrong.any(axis=1).mean())


@pytest.mark.parametrize(("better", "worse"), [(0.075, 0.075), (0.02, 0.03), (0.002, 0.0), (0.004, 0.002)])
def test_behind_the_gate_the_level_holds(better, worse):
    assert missed(better, worse, gated=True) <= TOLERANCE


def test_without_the_gate_a_rare_loss_breaks_it():
    assert missed(0.002, 0.0, gated=False) > 0.15


def test_the_array_formula_is_the_sequence():
    found = asymptotic_sequence(Moments(40_000, 30, 6_000), (3_015, 2_985), 1, alpha=ALPHA, planned=10_000)
    deviation = math.sqrt(0.15 - (30 / 40_000) ** 2)
    assert found.high - found.low == pytest.approx(2 * half_width(40_000, deviation, ALPHA, 10_000))
