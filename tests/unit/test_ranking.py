"""AUC by blocks: merged whole, oriented, refused in parts, and exact for equal models at every look."""

import math

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from scipy.special import logsumexp

from policies.errors import ColumnsError, PlanError
from policies.plan import GridPlan
from policies.ranking import RankedBlocks, rank_blocks
from tests.support.pairs import paired

DAYS = GridPlan(16, 0.02, 0.9)


def world(blocks, rows, *, live=1.0, other=1.0, seed=1):
    rng = np.random.default_rng(seed)
    label = (rng.random(blocks * rows) < 0.3).astype(float)
    scores = [label + rng.normal(0, noise, label.size) for noise in (live, other)]
    return paired(scores[0].tolist(), scores[1].tolist(), label.tolist()), np.repeat(np.arange(blocks), rows)


def test_a_better_ranking_is_shown_and_the_champion_is_not():
    table, keys = world(60, 120, other=0.7)
    found = rank_blocks(table, keys)
    assert found.mean > 0.05
    assert found.log_e(grid=DAYS, clip=0.3) > math.log(20)
    assert found.log_e(swapped=True, grid=DAYS, clip=0.3) < 0
    assert found.log_e(-0.02, grid=DAYS, clip=0.3) > found.log_e(grid=DAYS, clip=0.3)


@pytest.mark.parametrize("parts", [1, 7, 20])
def test_whole_blocks_merge_to_the_same_bytes_in_any_order(parts):
    table, keys = world(20, 60)
    whole = rank_blocks(table, keys)
    order = np.random.default_rng(parts).permutation(20)
    pieces = []
    for chosen in np.array_split(order, parts):
        rows = np.flatnonzero(np.isin(keys, chosen))
        pieces.append(rank_blocks(table.take(pa.array(rows)), keys[rows]))
    merged = RankedBlocks.empty().merge(*pieces)
    assert merged.to_json() == whole.to_json()
    assert msgspec.json.decode(whole.to_json(), type=RankedBlocks) == whole


def test_half_a_block_twice_is_refused():
    table, keys = world(1, 200)
    first, second = rank_blocks(table.slice(0, 100), keys[:100]), rank_blocks(table.slice(100), keys[100:])
    with pytest.raises(ColumnsError, match="twice"):
        first.merge(second)


def test_what_cannot_be_ranked_is_left_with_its_reason():
    nan = float("nan")
    table = paired([0.1, nan, 0.2, 0.3], [0.1, 0.1, 0.2, None], [0.0, 1.0, 0.5, 1.0])
    found = rank_blocks(table, [0, 0, 0, 1], least=1)
    assert found.reasons == {"champion_not_a_number": 1, "challenger_not_a_number": 1, "label_outside": 1}
    assert found.left == {0: "0 positives and 1 negatives", 1: "0 positives and 0 negatives"}
    assert found.mean is None
    ties = rank_blocks(paired([0.5] * 4, [0.5] * 4, [0.0, 1.0, 0.0, 1.0]), [0] * 4, least=1)
    assert (ties.mean, ties.log_e()) == (0.0, 0.0)


def test_misuse_is_refused():
    table, keys = world(1, 50)
    with pytest.raises(ColumnsError, match="one key a row"):
        rank_blocks(table, keys[:-1])
    with pytest.raises(PlanError):
        rank_blocks(table, keys, least=0)
    with pytest.raises(PlanError):
        RankedBlocks.empty().log_e(1.0)
    with pytest.raises(PlanError):
        RankedBlocks.empty().log_e(clip=1.1)


def test_equal_models_are_promoted_in_at_most_alpha_of_runs_looking_at_every_block():
    rng, runs, blocks, rows = np.random.default_rng(17), 400, 40, 60
    differences = np.zeros((runs, blocks))
    for run in range(runs):
        label = rng.random((blocks, rows)) < 0.3
        label[:, :2] = [True, False]
        scores = (label + rng.standard_normal((blocks, rows)) for _ in range(2))
        live, other = (score.argsort(axis=1).argsort(axis=1) + 1.0 for score in scores)
        m = label.sum(axis=1)
        differences[run] = ((other - live) * label).sum(axis=1) / (m * (rows - m))
    bets = np.geomspace(DAYS.low, DAYS.high, DAYS.size)
    logs = np.log1p(bets * differences[..., None]).cumsum(axis=1)
    log_e = logsumexp(logs, axis=-1) - math.log(bets.size)
    rate = (log_e.max(axis=1) >= math.log(20)).mean()
    assert rate <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
