"""Days that fall together: counting decisions as units breaks the level, counting days holds it.

Each day has its own shift of the paired difference, shared by its 200 decisions: a design effect of about 5.
No difference on average; a look a day for 60 days; 2,000 seeded runs.
"""

import math

import numpy as np
from scipy.special import logsumexp

from policies.evalues import betting_values, grid, mixture

ALPHA = 0.05
DAYS, PER_DAY, RUNS = 60, 200, 2_000
BETS = grid(16, 0.01, 0.3)
CLIP = 0.25
LIMIT = -math.log(ALPHA)
TOLERANCE = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)


def days(seed):
    """Daily sums of D and of D squared over decisions in {-1, 0, 1}, shape (runs, days)."""
    rng = np.random.default_rng(seed)
    shift = rng.uniform(-0.15, 0.15, size=(RUNS, DAYS))
    better = rng.binomial(PER_DAY, 0.2 + shift / 2)
    worse = rng.binomial(PER_DAY - better, (0.2 - shift / 2) / (1 - (0.2 + shift / 2)))
    return better - worse, better + worse


TOTAL, SQUARES = days(20130301)


def promoted(log_e):
    return float((log_e.max(axis=1) >= LIMIT).mean())


def test_the_days_fall_together():
    means = TOTAL / PER_DAY
    within = (SQUARES - TOTAL**2 / PER_DAY).mean() / PER_DAY
    assert 3 < means.var() / (within / PER_DAY) < 30


def test_decisions_as_units_break_the_level():
    total, squares = TOTAL.cumsum(axis=1), SQUARES.cumsum(axis=1)
    psi = -np.log1p(-BETS) - BETS
    capital = total[..., None] * BETS - squares[..., None] * psi
    assert promoted(logsumexp(capital, axis=-1) - math.log(BETS.size)) > 2 * ALPHA
    n = PER_DAY * np.arange(1, DAYS + 1)
    z = total / np.sqrt(squares - total**2 / n)
    assert float((z.max(axis=1) >= 1.645).mean()) > 0.25


def test_days_as_units_hold_it():
    means = np.clip(TOTAL / PER_DAY, -CLIP, CLIP) / CLIP
    logs = np.log1p(means[..., None] * BETS).cumsum(axis=1)
    log_e = logsumexp(logs, axis=-1) - math.log(BETS.size)
    assert promoted(log_e) <= TOLERANCE
    # The arrays above are the function that gates, up to its rounding down.
    assert abs(mixture(betting_values(means[0], 0.0, BETS)) - log_e[0, -1]) < 1e-9


def test_days_as_units_still_find_a_gain():
    rng = np.random.default_rng(5)
    means = np.clip(0.1 + rng.uniform(-0.15, 0.15, size=(500, DAYS)), -0.25, 0.25) / 0.25
    logs = np.log1p(means[..., None] * BETS).cumsum(axis=1)
    assert promoted(logsumexp(logs, axis=-1) - math.log(BETS.size)) > 0.95
