"""Off-policy sequences at every one of 50 looks, where weights are few and large (largest 30, effective 6 %).

300 seeded runs of 5,000 decisions; exact ends may miss in alpha plus three standard errors of the runs. The
normal interval of the same weighted rewards is shown failing beside them.
"""

import math

import numpy as np
import pytest
from scipy.special import logsumexp

from policies.logged import STAKES
from tests.support.bandits import CHANCE, LOGGING, TARGET, VALUES

ALPHA, RUNS, LOOKS, PER_LOOK = 0.05, 300, 50, 100
TOLERANCE = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)
WEIGHTS = TARGET / LOGGING


def missed(values, null):
    """The share of runs whose e-value against the true mean reaches 1/alpha at some look."""
    drawn = counts()
    logs = drawn @ np.log1p(np.outer(values, STAKES)) - N[:, None] * np.log1p(STAKES * null)
    log_e = logsumexp(logs, axis=-1) - math.log(STAKES.size)
    return float((log_e.max(axis=1) >= -math.log(ALPHA)).mean())


N = PER_LOOK * np.arange(1, LOOKS + 1)
CELLS = np.concatenate([LOGGING * CHANCE, LOGGING * (1 - CHANCE)])  # rewarded, then not
W, R = np.concatenate([WEIGHTS, WEIGHTS]), np.repeat([1.0, 0.0], WEIGHTS.size)


def counts():
    return np.random.default_rng(77).multinomial(PER_LOOK, CELLS, size=(RUNS, LOOKS)).cumsum(axis=1)


@pytest.mark.parametrize(
    ("values", "null"),
    [
        (W * R, VALUES["target"]),
        (W * (1 - R), 1 - VALUES["target"]),
        (1 + (W - 1) * R, 1 + VALUES["target"] - VALUES["logged"]),
        (W, 1.0),
    ],
    ids=["lower", "upper", "difference", "weights"],
)
def test_the_exact_ends_hold_their_level_at_every_look(values, null):
    assert missed(values, null) <= TOLERANCE


def test_the_normal_interval_of_weighted_rewards_does_not():
    drawn = counts()
    mean = drawn @ (W * R) / N
    deviation = np.sqrt(drawn @ (W * R) ** 2 / N - mean**2)
    wrong = np.abs(mean - VALUES["target"]) > 1.96 * deviation / np.sqrt(N)
    assert wrong.any(axis=1).mean() > 0.3
