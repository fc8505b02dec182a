"""A log with known truth: five actions; nine in ten decisions take the best guess, the rest explore."""

import numpy as np
import pyarrow as pa

ACTIONS, EXPLORED = 5, 0.1
CHANCE = np.array([0.1, 0.1, 0.3, 0.1, 0.1])
LOGGED_ACTION, TARGET_ACTION, TARGET_SHARE = 0, 2, 0.5
LEAST = EXPLORED / ACTIONS


def _policy(action: int, share: float) -> np.ndarray:
    chances = np.full(ACTIONS, (1 - share) / ACTIONS)
    chances[action] += share
    return chances


LOGGING, TARGET = _policy(LOGGED_ACTION, 1 - EXPLORED), _policy(TARGET_ACTION, TARGET_SHARE)
VALUES = {"logged": float(LOGGING @ CHANCE), "target": float(TARGET @ CHANCE)}


def logged(rows: int, seed: int) -> pa.Table:
    """Return logged decisions with propensities of at least 0.02, and the predictions of a poor model."""
    rng = np.random.default_rng(seed)
    action = rng.choice(ACTIONS, rows, p=LOGGING)
    reward = (rng.random(rows) < CHANCE[action]).astype(float)
    return pa.table(
        {
            "propensity": LOGGING[action],
            "target": TARGET[action],
            "reward": reward,
            "predicted_logged": np.full(rows, 0.15),
            "predicted_target": np.full(rows, 0.15),
        }
    )
