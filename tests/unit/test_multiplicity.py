"""Many hypotheses: each rule by hand, its laws, and its error rate over dependent nulls."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import PlanError
from policies.multiplicity import average, bonferroni, e_bh, holm, worst_slices
from policies.wealth import Wealth

LOGS = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.floats(-10, 10), max_size=8)
ALPHA = st.floats(0.01, 0.4)


@given(LOGS, ALPHA)
def test_each_rule_shows_what_the_stricter_one_shows(logs, alpha):
    strict, step, share = (set(rule(logs, alpha)) for rule in (bonferroni, holm, e_bh))
    assert strict <= step
    assert strict <= share
    for shown in (strict, step, share):
        floor = min((logs[name] for name in shown), default=math.inf)
        assert all(name in shown for name, log in logs.items() if log > floor)


@given(LOGS, ALPHA, st.data())
def test_the_order_of_hypotheses_decides_nothing(logs, alpha, data):
    turned = dict(data.draw(st.permutations(list(logs.items()))))
    for rule in (bonferroni, holm, e_bh, worst_slices):
        assert set(rule(logs, alpha)) == set(rule(turned, alpha))
    assert worst_slices(logs, alpha) == worst_slices(turned, alpha)


def test_golden_p_values_of_benjamini_and_hochberg_turned_into_e_values():
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    logs = {f"h{k:02d}": -math.log(each) for k, each in enumerate(p)}
    assert [len(rule(logs, 0.05)) for rule in (e_bh, bonferroni, holm)] == [4, 3, 3]


def test_nothing_to_test_shows_nothing():
    assert bonferroni({}, 0.05) == holm({}, 0.05) == e_bh({}, 0.05) == worst_slices({}, 0.05) == ()
    assert average({}) == 0.0


def test_the_average_of_e_values_is_their_mean():
    assert average({"a": math.log(3), "b": math.log(1)}) == pytest.approx(math.log(2))


def test_errors_stay_below_alpha_for_dependent_nulls():
    rng, m, runs = np.random.default_rng(5), 10, 4_000
    shared = rng.standard_normal((runs, 1)) * math.sqrt(0.5)
    z = shared + rng.standard_normal((runs, m)) * math.sqrt(0.5)
    logs = 2.0 * z - 2.0  # exp(bet z - bet^2/2) with bet 2: the mean of e is exactly 1
    for rule in (bonferroni, holm, e_bh):
        wrong = [bool(rule({str(k): float(e) for k, e in enumerate(row)}, 0.1)) for row in logs]
        assert np.mean(wrong) <= 0.1 + 3 * math.sqrt(0.09 / runs)


def test_levels_fall_with_each_candidate_and_grow_with_each_one_shown():
    wealth = Wealth(0.05).register("a")
    assert wealth.candidates[0].alpha == pytest.approx(0.05 * 6 / math.pi**2)
    before = wealth.next_alpha
    assert before < wealth.candidates[0].alpha
    after = wealth.conclude("a", 10.0)
    assert after.next_alpha == pytest.approx(2 * before)
    assert wealth.conclude("a", 0.0).next_alpha == before
    assert Wealth(0.05, "any").register("a").conclude("a", 10.0).next_alpha == pytest.approx(before)


def test_levels_of_endless_candidates_never_add_up_beyond_alpha():
    wealth = Wealth(0.05, "any")
    for k in range(200):
        wealth = wealth.register(str(k))
    assert sum(each.alpha for each in wealth.candidates) < 0.05


def test_a_candidate_side_by_side_counts_as_not_shown_until_it_is():
    wealth = Wealth(0.05).register("a").register("b")
    given_to_b = wealth.candidates[1].alpha
    assert wealth.conclude("a", 10.0).candidates[1].alpha == given_to_b


def test_the_ledger_refuses_names_twice_and_unknown_ones():
    wealth = Wealth(0.05).register("a")
    with pytest.raises(PlanError, match="not registered before"):
        wealth.register("a")
    for done, name in ((wealth, "b"), (wealth.conclude("a", 1.0), "a")):
        with pytest.raises(PlanError, match="not concluded"):
            done.conclude(name, 1.0)
    with pytest.raises(PlanError, match=r"above 0\.0"):
        Wealth(0.0)


def test_the_share_of_wrong_promotions_stays_below_alpha_over_a_sequence_of_candidates():
    rng, alpha, shares = np.random.default_rng(8), 0.2, []
    for _ in range(400):
        wealth, wrong = Wealth(alpha), 0
        for turn in range(12):
            better = turn % 3 == 0
            z = rng.standard_normal() + (4.0 if better else 0.0)
            wealth = wealth.register(str(turn)).conclude(str(turn), 3.0 * z - 4.5)
            wrong += bool(wealth.candidates[-1].shown) and not better
        shown = sum(bool(each.shown) for each in wealth.candidates)
        shares.append(wrong / max(shown, 1))
    assert np.mean(shares) <= alpha
    assert any(itertools.accumulate(shares))  # the test can fail: some runs do promote wrongly
