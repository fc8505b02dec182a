"""Six worlds of which two are helped: the proof acts in those two, drift would act in the wrong ones.

Seeded logistic models; a champion of 20,000 old rows, rivals of 5,000 recent ones, 5,000 held out. The
benchmark runs more of them, with trees and on flights (`make bench-retraining`).
"""

from collections import Counter

import numpy as np
import pytest

from benchmarks.retraining import Kind, figures, one_run
from tests.support.scenarios import HELPS, SCENARIOS, draw, linear, live, rivals, tried

RUNS = 16


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_proof_acts_where_acting_helps_and_nowhere_else(scenario):
    actions, changes = Counter(), Counter()
    for run in range(RUNS):
        rng = np.random.default_rng([run, 15, SCENARIOS.index(scenario)])
        moved = scenario in ("irrelevant", "harder")
        champion = live(linear, draw(rng, 20_000, "none"))
        learn, held = draw(rng, 10_000, scenario).halves()
        against = rivals(linear, champion, learn)
        proof = tried(champion, against, held, features="drift" if moved else "ok")
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


def test_fresh_rows_confirm_each_act_and_the_key():
    kind = Kind("linear", linear, 1, real=False)
    done = one_run(kind, 0, keyed=True)
    found = {each.scenario: each for each in done}
    assert {name for name, each in found.items() if each.confirmed} == set(HELPS)
    assert found["concept"].further > 1.0 > found["prior"].further
    assert max(each.cheaper for name, each in found.items() if name not in HELPS) < 1.0
    rows = {row.name: row for row in figures(kind, done)}
    assert rows["linear: precision of acting, by fresh rows"].against == "2 of 2"
    assert rows["linear: the right remedy"].holds
    assert rows["linear: precision of acting, by the key, lower 95 % limit"].holds is False  # of two acts
