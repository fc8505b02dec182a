"""Six worlds of which two are helped: the proof acts in those two, drift would act in the wrong ones.

Seeded logistic models; a champion of 20,000 old rows, rivals of 5,000 recent ones, 5,000 held out. The
benchmark runs more of them, with trees and on flights (`make bench-drift`).
"""

from collections import Counter

import numpy as np
import pytest

from tests.support.scenarios import HELPS, SCENARIOS, draw, linear, live, tried

RUNS = 16


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_proof_acts_where_acting_helps_and_nowhere_else(scenario):
    actions, changes = Counter(), Counter()
    for run in range(RUNS):
        rng = np.random.default_rng([run, 15, SCENARIOS.index(scenario)])
        moved = scenario in ("irrelevant", "harder")
        proof = tried(
            linear,
            live(linear, draw(rng, 20_000, "none")),
            draw(rng, 10_000, scenario),
            features="drift" if moved else "ok",
        )
        actions[proof.remedy.action] += 1
        changes[proof.remedy.diagnosis.change] += 1
    action, change = {
        "none": ("wait", "none"),
        "irrelevant": ("wait", "covariate"),
        "harder": ("wait", "covariate"),
        "concept": (HELPS["concept"], "concept"),
        "prior": (HELPS["prior"], "prior"),
        "tiny": ("wait", "none"),
    }[scenario]
    assert set(actions) <= {action, "wait"}
    assert actions[action] >= RUNS - 1  # a proof may wait for more rows; it may not act without cause
    assert changes[change] >= RUNS - 1
