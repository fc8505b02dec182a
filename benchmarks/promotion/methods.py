"""Our tests over the world's counts, all runs at once, and what the libraries say of the same runs."""

import json
import math
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, logsumexp

from benchmarks.promotion.world import (
    ALPHA,
    CHUNK,
    DISCORDANT,
    EFFECT,
    FIXED_N,
    LOOKS,
    PER_LOOK,
    RUNS,
    Counts,
    cells,
)
from benchmarks.results import Row, at_most
from policies.asymptotic import half_width
from policies.evalues import grid, mcnemar_prior
from policies.planning import suited_grid
from policies.policy_plan import GridPlan

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-bench-policies" / "bin" / "python"
LIBRARIES = {
    "gbstats": "two arms, as it ships",
    "spotify": "two arms, its bounds for 100 looks; a look is 1/100 of one call",
    "spotify_paired": "its bounds on paired differences",
    "confseq": "its formula, paired: the package does not build",
    "statsmodels": "exact McNemar, paired, as if each look were the only one",
}
NAIVE = ("naive paired z", "statsmodels")
LIMIT = -math.log(ALPHA)
DEFAULT = GridPlan()
BETS = grid(DEFAULT.size, DEFAULT.low, DEFAULT.high)
PLANNED = suited_grid(EFFECT, discordant=DISCORDANT)
SUITED = grid(PLANNED.size, PLANNED.low, PLANNED.high)
N = PER_LOOK * np.arange(1, LOOKS + 1)
Reached = npt.NDArray[np.bool_]
Test = Callable[[Counts, Counts], Reached]


class Found(NamedTuple):
    """What became of a test: shares that decided without and with an effect, and the decisions it took."""

    false: float
    power: float
    decisions: float
    look_us: float | None = None


def _mixed(capital: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    log_e: npt.NDArray[np.float64] = logsumexp(capital, axis=-1) - math.log(size)
    return log_e


def grid_side(better: Counts, worse: Counts) -> npt.NDArray[np.float64]:
    """Return log e of the betting grid against "not better"."""
    return _mixed(better[..., None] * np.log1p(BETS) + worse[..., None] * np.log1p(-BETS), BETS.size)


def suited_side(better: Counts, worse: Counts) -> npt.NDArray[np.float64]:
    """Return log e of the grid that `suited_grid` plans for the effect, against "not better"."""
    return _mixed(better[..., None] * np.log1p(SUITED) + worse[..., None] * np.log1p(-SUITED), SUITED.size)


def sums_side(better: Counts, worse: Counts) -> npt.NDArray[np.float64]:
    """Return log e of the three-sum mixture against "not better"."""
    psi = -np.log1p(-BETS) - BETS
    return _mixed((better - worse)[..., None] * BETS - (better + worse)[..., None] * psi, BETS.size)


def both(side: Callable[[Counts, Counts], npt.NDArray[np.float64]]) -> Test:
    """Return the two-sided test of a one-sided e-value: the mean of both sides reaches 1/alpha."""
    return lambda b, c: np.logaddexp(side(b, c), side(c, b)) - math.log(2) >= LIMIT


def mcnemar(better: Counts, worse: Counts) -> Reached:
    """Return where the sequential McNemar e-value has reached 1/alpha."""
    a = mcnemar_prior(DISCORDANT * FIXED_N, ALPHA)
    reached: Reached = betaln(a + better, a + worse) - betaln(a, a) + (better + worse) * math.log(2) >= LIMIT
    return reached


def one_side(better: Counts, worse: Counts) -> Reached:
    """Return where the gate of a promotion, which asks for "better" alone, has reached 1/alpha."""
    return grid_side(better, worse) >= LIMIT


def _deviation(better: Counts, worse: Counts) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = np.sqrt((better + worse) / N - ((better - worse) / N) ** 2)
    return found


def asymptotic(better: Counts, worse: Counts) -> Reached:
    """Return where the asymptotic sequence of paired differences, sharpest at 5,000, has left 0."""
    unit = np.array([half_width(int(n), 1.0, ALPHA, 5_000) for n in N])
    reached: Reached = np.abs(better - worse) / N > _deviation(better, worse) * unit
    return reached


def naive(better: Counts, worse: Counts) -> Reached:
    """Return where a paired z-test that takes each look for the only one would have decided."""
    reached: Reached = np.abs(better - worse) >= 1.959964 * np.sqrt(N) * _deviation(better, worse)
    return reached


EXACT: dict[str, Test] = {
    "gate, one side": one_side,
    "betting grid": both(grid_side),
    "betting grid, planned": both(suited_side),
    "sequential McNemar": mcnemar,
    "three sums": both(sums_side),
}
OTHERS: dict[str, Test] = {"gbstats' formula, paired": asymptotic, "naive paired z": naive}


def decided(test: Test, effect: float) -> tuple[float, float]:
    """Return the share of runs that decide within 100 looks, and the mean decisions until then."""
    shares, stops = [], []
    for part in range(RUNS // CHUNK):
        counts = cells(effect, part)
        reached = test(counts.better, counts.worse)
        found = reached.any(axis=1)
        shares.append(float(found.mean()))
        stops.append(float(np.where(found, reached.argmax(axis=1) + 1, LOOKS).mean()) * PER_LOOK)
    return float(np.mean(shares)), float(np.mean(stops))


def ours(test: Test) -> Found:
    """Return what becomes of a test over all runs."""
    false, _ = decided(test, 0.0)
    return Found(false, *decided(test, EFFECT))


def theirs() -> dict[str, Found]:
    """Return what becomes of the libraries' tests over the first thousand of the same runs."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        for world, effect in (("null", 0.0), ("effect", EFFECT)):
            np.savez(Path(name) / f"{world}.npz", **cells(effect, 0)._asdict())
        for library in LIBRARIES:
            script = Path(__file__).parent / "libraries.py"
            words = [str(PYTHON), "-W", "ignore", str(script), library, name]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            said = json.loads(done.stdout.splitlines()[-1])
            found[library] = Found(
                said["null"]["decided"],
                said["effect"]["decided"],
                said["effect"]["decisions"],
                said["null"]["look_us"] or None,
            )
    return found


def error_rates() -> Iterator[Row]:
    """Yield type-I, power and expected decisions of each test, ours and the libraries'."""
    others = theirs() | {name: ours(test) for name, test in OTHERS.items()}
    needs = "; ".join(f"{name} {each.decisions:,.0f}" for name, each in others.items() if name not in NAIVE)
    most = ALPHA + 3.0 * math.sqrt(ALPHA * (1.0 - ALPHA) / RUNS)
    for name, test in EXACT.items():
        found = ours(test)
        yield at_most(
            f"{name}: type-I, 100 looks", found.false, "share", round(most, 4), against="alpha + 3 se"
        )
        if name not in ("three sums", "betting grid, planned"):
            yield at_most(f"{name}: type-I beside E[n]", found.false, "share", 0.025)
        yield Row(f"{name}: power at +1pp, 40k", found.power, "share")
        row = f"{name}: E[n] at +1pp", found.decisions, "decisions"
        yield Row(*row, needs) if name == "three sums" else at_most(*row, 14_500, against=needs)
    for name, each in others.items():
        said = LIBRARIES.get(name, "all runs")
        shown = f"{said}; nominal 0.05, shown failing" if name in NAIVE else said
        yield Row(f"{name}: type-I, 100 looks", each.false, "share", shown)
        yield Row(f"{name}: power at +1pp, 40k", each.power, "share", said)
        early = "decides early because it decides wrongly" if name in NAIVE else said
        yield Row(f"{name}: E[n] at +1pp", each.decisions, "decisions", early)
        if each.look_us is not None:
            yield Row(f"{name}: a look", each.look_us, "us CPU", said)
