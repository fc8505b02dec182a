"""The order by packed integers is that of the whole scores, whatever they are."""

import numpy as np
import pytest

from policies.ranking import Ranking

SCORES = {
    "random": lambda rng, n: rng.random(n),
    "ties": lambda rng, n: rng.random(n).round(1),
    "signed": lambda rng, n: rng.normal(size=n),
    "far": lambda rng, n: 1e9 + rng.random(n),
    "edges": lambda rng, n: rng.choice([0.0, -0.0, 5e-324, -1e308, 1e308, 1.0, np.nextafter(1.0, 2.0)], n),
}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("groups", [1, 7, 3_000])
@pytest.mark.parametrize("descending", [False, True])
def test_the_order_is_that_of_a_sort_by_group_and_score(name, groups, descending):
    rng = np.random.default_rng(groups)
    codes, score = rng.integers(0, groups, 5_000), SCORES[name](rng, 5_000)
    ranking = Ranking(codes, groups, score, descending=descending)
    wanted = np.lexsort((-score if descending else score, codes))
    assert ranking.order.tolist() == wanted.tolist()
    own, sorted_score = codes[wanted], score[wanted]
    new = np.flatnonzero((own[1:] != own[:-1]) | (sorted_score[1:] != sorted_score[:-1])) + 1
    assert ranking.bounds.tolist() == [0, *new.tolist(), 5_000]
