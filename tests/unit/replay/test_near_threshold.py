"""Decisions are fragile within what a check saw the scores move by, whatever moved them."""

import numpy as np
import pytest

from replay.checks.finding import Finding
from replay.checks.invariance import near_threshold

SCORES = np.array([0.4, 0.49999, 0.5, 0.500001, 0.9])


def moved(state, by):
    return Finding("row order", state, "", {"rows": 3, "max_abs_difference": by})


@pytest.mark.parametrize("state", ["warn", "fail"])
def test_what_moves_scores_makes_those_fragile_that_it_could_turn(state):
    found = near_threshold([moved(state, 2e-6), moved("pass", 0.0)], SCORES, 0.5)
    assert found.state == "warn"
    assert found.figures == {"fragile": 2, "margin": 2e-6, "threshold": 0.5}


def test_where_nothing_moves_only_a_score_at_the_threshold_is_fragile():
    assert near_threshold([moved("pass", 0.0)], SCORES, 0.5).figures["fragile"] == 1
    assert near_threshold([moved("pass", 0.0)], SCORES, 0.51).state == "pass"


def test_what_may_be_anything_is_fragile_everywhere():
    found = near_threshold([moved("fail", np.inf)], SCORES, 0.5)
    assert found.figures["fragile"] == SCORES.size


def test_without_a_threshold_nothing_is_decided():
    assert near_threshold([moved("fail", 1.0)], SCORES, None) is None
