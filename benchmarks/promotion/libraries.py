"""Another library's test on the same world: `python libraries.py NAME FOLDER`, figures as JSON.

Stands alone, because those libraries need an environment that cannot hold this project. FOLDER has
null.npz and effect.npz: how many decisions both models, the challenger alone and the champion alone had right
by each look, shape (runs, looks). Every test is two-sided at 5 %, with the library's defaults.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ALPHA, PER_LOOK = 0.05, 400
_API_LOOKS = 100


def _each_look(decides: Callable[[int, int, int, int], bool]) -> Callable[[Any, Any, Any], tuple[Any, float]]:
    """Return a test that is asked look by look until it decides, with the time that one look takes."""

    def run(both: Any, better: Any, worse: Any) -> tuple[Any, float]:
        runs, looks = both.shape
        stops, asked, start = np.zeros(runs, dtype=int), 0, time.process_time()
        for one in range(runs):
            for look in range(looks):
                asked += 1
                found = both[one, look], better[one, look], worse[one, look]
                if decides(PER_LOOK * (look + 1), *map(int, found)):
                    stops[one] = look + 1
                    break
        return stops, (time.process_time() - start) / asked

    return run


def gbstats() -> Any:
    """Return GrowthBook's sequential test of two arms with its defaults."""
    from gbstats.frequentist.tests import SequentialTwoSidedTTest
    from gbstats.models.statistics import ProportionStatistic

    def decides(n: int, both: int, better: int, worse: int) -> bool:
        live, other = ProportionStatistic(n=n, sum=both + worse), ProportionStatistic(n=n, sum=both + better)
        low, high = SequentialTwoSidedTTest(live, other).compute_result().ci
        return low > 0.0 or high < 0.0

    return _each_look(decides)


def statsmodels() -> Any:
    """Return the exact McNemar test at each look, as if that look were the only one."""
    from statsmodels.stats.contingency_tables import mcnemar

    def decides(n: int, both: int, better: int, worse: int) -> bool:
        neither = n - both - better - worse
        return bool(mcnemar([[both, worse], [better, neither]], exact=True).pvalue < ALPHA)

    return _each_look(decides)


def _spotify_bounds(looks: int) -> Any:
    from spotify_confidence.analysis.frequentist.confidence_computers.z_test_computer import sequential_bounds

    return sequential_bounds(np.arange(1, looks + 1) / looks, ALPHA, 2).df["zb"].to_numpy()


def spotify() -> Any:
    """Return spotify-confidence's bounds for all looks, held against its z of two arms."""
    return _spotify(paired=False)


def spotify_paired() -> Any:
    """Return the same bounds, held against the z of paired differences, which the library does not make."""
    return _spotify(paired=True)


def _spotify(*, paired: bool) -> Any:
    def run(both: Any, better: Any, worse: Any) -> tuple[Any, float]:
        looks = both.shape[1]
        bounds, n = _spotify_bounds(looks), PER_LOOK * np.arange(1, looks + 1)
        gain = (better - worse) / n
        if paired:
            square = (better + worse) / n - gain**2
        else:
            shares = (both + worse) / n, (both + better) / n
            square = sum(share * (1.0 - share) for share in shares)
        reached = np.abs(gain) >= bounds * np.sqrt(square / n)
        stops = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, 0)
        return stops, 0.0 if paired else _api_seconds(both[0], better[0], worse[0]) / looks

    return run


def _api_seconds(both: Any, better: Any, worse: Any) -> float:
    """Return what one call of the library takes that reports every look of one run."""
    import pandas as pd
    from spotify_confidence import ZTest

    n = PER_LOOK * np.arange(1, both.size + 1)
    rows = [
        {"arm": arm, "look": look + 1, "sum": right[look], "n": n[look], "final": 2 * n[-1]}
        for arm, right in (("champion", both + worse), ("challenger", both + better))
        for look in range(both.size)
    ]
    start = time.process_time()
    test = ZTest(
        pd.DataFrame(rows), "sum", "sum", "n", categorical_group_columns="arm", ordinal_group_column="look"
    )
    test.difference("champion", "challenger", groupby="look", final_expected_sample_size_column="final")
    return time.process_time() - start


def confseq() -> Any:
    """Return confseq's betting test by its formula, since the package does not build on this Python.

    Hedged capital with predictable plug-in bets, truncated at one half (Waudby-Smith and Ramdas 2024,
    theorem 3 and equation 26), on differences moved into [0, 1], one decision after the other.
    """

    def run(both: Any, better: Any, worse: Any) -> tuple[Any, float]:
        runs, looks = both.shape
        del both
        stops, start = np.zeros(runs, dtype=int), time.process_time()
        up, down, total, squares = np.zeros(runs), np.zeros(runs), np.full(runs, 0.5), np.full(runs, 0.25)
        spread, t, wanted = np.full(runs, 0.25), 0, np.log(2.0 / ALPHA)
        for look, values in enumerate(_one_by_one(better, worse), 1):
            for value in values.T:
                t += 1
                bet = np.sqrt(2.0 * wanted / (spread * t * np.log1p(t)))
                bet = np.minimum(bet, 1.0)  # one half over m, m = 1/2
                up += np.log1p(bet * (value - 0.5))
                down += np.log1p(-bet * (value - 0.5))
                total += value
                squares += (value - total / (t + 1)) ** 2
                spread = squares / (t + 1)
            reached = np.maximum(up, down) >= wanted  # each side holds half of the capital
            stops[(stops == 0) & reached] = look
        assert look == looks
        return stops, (time.process_time() - start) / looks / runs

    return run


def _one_by_one(better: Any, worse: Any) -> Any:
    """Yield the decisions of each look in a random order, moved into [0, 1], shape (runs, PER_LOOK)."""
    rng = np.random.default_rng(1)
    place = np.arange(PER_LOOK)[None, :]
    for look in range(better.shape[1]):
        b, c = (counts[:, look] - (counts[:, look - 1] if look else 0) for counts in (better, worse))
        values = np.where(place < b[:, None], 1.0, np.where(place < (b + c)[:, None], 0.0, 0.5))
        yield rng.permuted(values, axis=1)


TESTS = {test.__name__: test for test in (gbstats, statsmodels, spotify, spotify_paired, confseq)}


def main() -> None:
    """Run one test over both worlds and print its figures."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    run, found = TESTS[name](), {}
    for world in ("null", "effect"):
        with np.load(folder / f"{world}.npz") as counts:
            stops, seconds = run(counts["both"], counts["better"], counts["worse"])
        ends = np.where(stops > 0, stops, _API_LOOKS)
        found[world] = {
            "decided": float((stops > 0).mean()),
            "decisions": float(ends.mean()) * PER_LOOK,
            "look_us": 1e6 * seconds,
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
