"""What is counted beside differences, certified: pairs, arms, quantiles, and weighted decisions."""

import math
from collections.abc import Iterator

import numpy as np

from harness.certify.procedures import Asked, Measured, Procedure, judged
from harness.certify.simulate import log_mean
from policies.columns import Floats, Ints
from policies.completeness import completeness, ratio_mismatch
from policies.logged import STAKES
from policies.quantiles import Histogram, quantile_sequence

ALPHA, RUNS = 0.05, 2_000
_LOOKS = 10
_Z, _Z_ONE = 1.959964, 1.644854
_MISSING, _CELLS, _PER_LOOK = 0.01, 3, 500
_SHARE, _SPREAD, _Z_SHARE = 0.99, 0.6, 2.3263478740408408
_WEIGHTED_LOOKS, _WEIGHTED = 50, 100


def counted_procedures() -> Iterator[Procedure]:
    """Yield completeness of pairs, shares of arms, a quantile's sequence, and the off-policy ends."""
    for name, wrong_is, naive_is, measure, looks in (
        (
            f"completeness of pairs, {_CELLS} cells",
            "a cell at its limit is named",
            "a z a cell and look",
            _pairs,
            _LOOKS,
        ),
        ("shares of arms", "fair arms called unfair", "chi-square at each look", _arms, _LOOKS),
        (
            "sequence of a p99",
            "the p99 lies outside at some look",
            "order statistics at each look",
            _quantile,
            _LOOKS,
        ),
    ):
        yield judged(Asked(name, wrong_is, ALPHA, naive_is), measure(), runs=RUNS, looks=looks)
    for name, found in _weighted().items():
        asked = Asked(
            f"off-policy {name}",
            "the truth lies outside at some look",
            ALPHA,
            "the normal interval at each look",
        )
        yield judged(asked, found, runs=RUNS, looks=_WEIGHTED_LOOKS)


def _pairs() -> Measured:
    rng = np.random.default_rng([1, 3_000])
    missing = rng.binomial(_PER_LOOK, _MISSING, (RUNS, _LOOKS, _CELLS)).cumsum(axis=1)
    n = _PER_LOOK * np.arange(1, _LOOKS + 1)[:, None]
    named = 0
    for run in missing.tolist():
        cells = (
            {str(k): (count, int(seen)) for k, count in enumerate(look)}
            for look, seen in zip(run, n[:, 0], strict=True)
        )
        named += any(completeness(each, limit=_MISSING, alpha=ALPHA).broken for each in cells)
    z = (missing - n * _MISSING) / np.sqrt(n * _MISSING * (1.0 - _MISSING))
    return Measured(named / RUNS, float((z >= _Z_ONE).any(axis=(1, 2)).mean()))


def _arms() -> Measured:
    drawn = np.random.default_rng([1, 3_001]).binomial(_PER_LOOK, 0.5, (RUNS, _LOOKS)).cumsum(axis=1)
    n, limit, shares = _PER_LOOK * np.arange(1, _LOOKS + 1), -math.log(ALPHA), {"a": 0.5, "b": 0.5}
    named = sum(
        any(
            ratio_mismatch({"a": a, "b": int(seen) - a}, shares) >= limit
            for a, seen in zip(run, n, strict=True)
        )
        for run in drawn.tolist()
    )
    z = np.abs(drawn - n / 2) / np.sqrt(n / 4)
    return Measured(named / RUNS, float((z >= _Z).any(axis=1).mean()))


def _quantile() -> Measured:
    truth = math.exp(_SPREAD * _Z_SHARE)
    rng, missed, fooled = np.random.default_rng([1, 3_002]), 0, 0
    for _ in range(RUNS):
        values = rng.lognormal(0.0, _SPREAD, _LOOKS * _PER_LOOK)
        seen, out, wrong = Histogram.empty(), False, False
        for look in range(_LOOKS):
            stop = (look + 1) * _PER_LOOK
            seen = seen.merge(Histogram.of(values[stop - _PER_LOOK : stop]))
            low, high = quantile_sequence(seen, _SHARE, ALPHA)
            out |= not low <= truth <= high
            below = int(np.count_nonzero(values[:stop] < truth))
            wrong |= abs(below - stop * _SHARE) > _Z * math.sqrt(stop * _SHARE * (1.0 - _SHARE))
        missed, fooled = missed + out, fooled + wrong
    return Measured(missed / RUNS, fooled / RUNS)


def _weighted() -> dict[str, Measured]:
    """Return the ends of a policy's value where weights are few and large: largest 30, effective 6 %."""
    chance = np.array([0.1, 0.1, 0.3, 0.1, 0.1])
    logging, target = np.full(5, 0.02), np.full(5, 0.1)
    logging[0], target[2] = 0.92, 0.6
    odds = np.concatenate([logging * chance, logging * (1.0 - chance)])
    weight, reward = np.tile(target / logging, 2), np.repeat([1.0, 0.0], 5)
    rng = np.random.default_rng([1, 3_003])
    drawn = rng.multinomial(_WEIGHTED, odds, size=(RUNS, _WEIGHTED_LOOKS)).cumsum(axis=1)
    n = _WEIGHTED * np.arange(1, _WEIGHTED_LOOKS + 1)
    found = {}
    for name, values in (
        ("lower end", weight * reward),
        ("upper end", weight * (1.0 - reward)),
        ("difference", 1.0 + (weight - 1.0) * reward),
        ("alarm of weights", weight),
    ):
        truth = float(odds @ values)
        mean = drawn @ values / n
        spread = np.sqrt(np.maximum(drawn @ values**2 / n - mean**2, 1e-12) / n)
        fooled = float((np.abs(mean - truth) > _Z * spread).any(axis=1).mean())
        found[name] = Measured(_rejected(values, drawn, n, truth), fooled)
    return found


def _rejected(values: Floats, drawn: Ints, n: Ints, truth: float) -> float:
    """Return how often the e-value against the true mean is shown; see policies/logged.py."""
    logs = drawn.astype(np.float64) @ np.log1p(np.outer(values, STAKES)) - n[:, None] * np.log1p(
        STAKES * truth
    )
    return float((log_mean(logs, axis=-1).max(axis=1) >= -math.log(ALPHA)).mean())
