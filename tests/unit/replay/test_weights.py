"""Weights: of inclusion and of policy, on logs whose truth is known."""

import numpy as np
import pytest

from replay.errors import TooFewEffective, WeightsUnusable
from replay.weights import Weights, chances, doubly_robust, weighed

ROWS = 4_000


def world(seed):
    """Two actions, propensities that depend on x as the reward does; the truth is of the second."""
    rng = np.random.default_rng(seed)
    x = rng.random(ROWS)
    chance = 0.1 + 0.8 * x
    acted = rng.random(ROWS) < chance
    reward = (rng.random(ROWS) < 0.2 + 0.5 * x).astype(float)
    propensity = np.where(acted, chance, 1.0 - chance)
    return x, acted, propensity, reward, 0.45


def interval(values):
    half = 1.96 * values.std(ddof=1) / np.sqrt(values.size)
    return values.mean() - half, values.mean() + half


def test_ips_and_dr_intervals_hold_the_truth_as_often_as_they_say():
    covered = {"ips": 0, "dr": 0, "naive": 0}
    runs = 400
    for seed in range(runs):
        x, acted, propensity, reward, truth = world(seed)
        weight = np.where(acted, chances(propensity, acted, "propensity"), 0.0)
        dr = doubly_robust(np.where(acted, reward, np.nan), 0.25 + 0.4 * x, weight)
        for name, values in (("ips", weight * reward), ("dr", dr), ("naive", reward[acted])):
            low, high = interval(values)
            covered[name] += low <= truth <= high
    # 95 % of 400 within three standard errors; the rewards of what was done are those of the eager x.
    assert 0.917 <= covered["ips"] / runs <= 0.983
    assert 0.917 <= covered["dr"] / runs <= 0.983
    assert covered["naive"] / runs < 0.05


def test_snips_weights_average_one_and_a_clip_is_counted():
    _x, acted, propensity, _reward, _truth = world(1)
    weight = np.where(acted, 1.0 / propensity, 0.0)
    plan = Weights(policy="snips", target="decision:go", clip=5.0)
    done = weighed(weight, plan)
    assert done.weight.mean() == pytest.approx(1.0)
    assert done.account["cut"] == np.count_nonzero(weight > 5.0) > 0
    assert done.account["mean"] == pytest.approx(1.0)


def test_too_little_that_counts_is_refused():
    weight = np.zeros(1_000)
    weight[:60] = 10.0
    with pytest.raises(
        TooFewEffective, match=r"1,000 rows are worth 60\.0 rows of equal weight.*100 or more"
    ) as caught:
        weighed(weight, Weights(policy="ips"))
    assert caught.value.exit_code == 30
    assert weighed(weight, Weights(policy="ips", min_effective=60.0)).account["effective"] == pytest.approx(
        60.0
    )


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.5, np.nan])
def test_a_row_without_a_usable_propensity_is_refused_and_counted(bad):
    probability = np.array([0.5, bad, 0.25])
    with pytest.raises(WeightsUnusable, match="1 of 3 rows have no usable propensity") as caught:
        chances(probability, np.array([True, True, True]), "propensity")
    assert caught.value.exit_code == 2
    assert chances(probability, np.array([True, False, True]), "propensity").tolist() == [2.0, 0.0, 4.0]


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"inclusion": True, "target": "decision:go"},
        {"policy": "dr", "target": "decision:go"},
        {"policy": "dr", "reward": "q:1"},
        {"policy": "ips", "target": "go"},
        {"policy": "ips", "clip": 0.5},
    ],
)
def test_weights_that_do_not_fit_together_are_refused(words):
    with pytest.raises(WeightsUnusable):
        Weights(**words)


def test_the_account_does_not_depend_on_the_order_of_rows():
    weight = np.random.default_rng(3).lognormal(0.0, 3.0, 2_000)
    assert weighed(weight, None).account == weighed(weight[::-1].copy(), None).account
