"""How immature decisions are treated: left out, censored, or weighed so that quick outcomes count no more."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from replay.join import REASONS
from replay.labels import labelled
from replay.matching import Decided, Latest
from replay.ranges import AsOf

T0 = datetime(2024, 1, 1, tzinfo=UTC)
INSTANT = pa.timestamp("us", tz="UTC")
MINUTE = 60_000_000
AT = int(T0.timestamp()) * 1_000_000


def latest(occurred, outcomes, window):
    """Decisions at these minutes; outcomes: decision, minute it happened, value, minute it was recorded."""
    times = np.array(occurred, dtype=np.int64) * MINUTE + AT
    decided = Decided.of(pa.chunked_array([[f"d{i}" for i in range(len(occurred))]]), times)
    found = Latest(decided, timedelta(minutes=window))
    of, happened, value, recorded = zip(*outcomes, strict=True)
    table = {
        "position": np.arange(len(of)) + 100,
        "decision_id": [f"d{i}" for i in of],
        "value": pa.array(value, pa.float64()),
        "occurred_at": pa.array(np.array(happened) * MINUTE + AT, INSTANT),
        "recorded_at": pa.array(np.array(recorded) * MINUTE + AT, INSTANT),
    }
    found.update(pa.table(table))
    return found


def as_of(minute):
    return AsOf(1, 1_000, T0 + timedelta(minutes=minute), "")


def words(codes):
    return [("used", *REASONS)[code] for code in codes]


def test_censored_decisions_say_how_long_they_were_followed():
    #        known   quick   none    young   withdrawn  news after the window
    found = latest(
        [0, 70, 0, 80, 0, 0], [(0, 5, 1.0, 6), (1, 75, 1.0, 76), (4, 5, None, 6), (5, 70, 1.0, 71)], 60
    )
    excluded = np.zeros(6, dtype=bool)
    kept = labelled(found, excluded, as_of(100), "censor")
    assert words(kept.codes) == ["used", "used", "used", "used", "missing", "used"]
    assert kept.censored.tolist()[:4] == [False, False, True, True]
    assert (kept.followed_us // MINUTE).tolist()[:4] == [5, 5, 60, 20]
    assert kept.censored[5]
    assert kept.followed_us[5] == 60 * MINUTE
    left_out = labelled(found, excluded, as_of(100), "exclude")
    assert words(left_out.codes) == ["used", "immature", "missing", "immature", "missing", "late"]


def test_a_known_outcome_of_a_young_decision_weighs_one_over_its_chance_to_be_known():
    occurred = [0, 25, 50, 75, 100]
    found = latest(occurred, [(0, 5, 1.0, 10), (3, 76, 1.0, 85), (1, 70, 1.0, 75)], 60)
    kept = labelled(found, np.zeros(5, dtype=bool), as_of(100), "weight")
    assert words(kept.codes) == ["used", "used", "immature", "used", "immature"]
    # Ages 100, 75, 50, 25, 0: four of five are as old as 10 minutes, three as 50.
    assert kept.weight.tolist() == [5 / 4, 5 / 3, 0.0, 5 / 4, 0.0]


def test_quick_outcomes_bias_the_naive_share_and_not_the_weighted_one():
    rng = np.random.default_rng(5)
    decisions, window, now = 40_000, 1_000, 1_000
    occurred = rng.integers(0, now, decisions)
    bad = rng.random(decisions) < 0.3
    # A bad outcome is known in a tenth of the time that a good one takes.
    delay = np.where(bad, rng.integers(1, 100, decisions), rng.integers(1, window, decisions))
    known = np.flatnonzero(occurred + delay <= now)
    outcomes = [
        (int(i), int(occurred[i] + delay[i]), float(bad[i]), int(occurred[i] + delay[i])) for i in known
    ]
    kept = labelled(latest(occurred, outcomes, window), np.zeros(decisions, dtype=bool), as_of(now), "weight")
    used = kept.codes == 0
    naive = kept.value[used].mean()
    weighted = np.average(kept.value[used], weights=kept.weight[used])
    spread = (
        math.sqrt(np.sum((kept.weight[used] * (kept.value[used] - weighted)) ** 2)) / kept.weight[used].sum()
    )
    assert naive > 0.42
    assert abs(weighted - bad.mean()) < 4 * spread < 0.02


def test_an_outcome_from_a_clock_ahead_of_the_log_weighs_no_more_than_the_oldest_decision():
    found = latest([0, 10], [(1, 500, 1.0, 900)], 1_000)
    kept = labelled(found, np.zeros(2, dtype=bool), as_of(20), "weight")
    assert kept.weight.tolist() == [0.0, pytest.approx(1.0)]
