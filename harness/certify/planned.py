"""The planned tests, certified at their planned looks; looked at more often they fail, as stands beside."""

from collections.abc import Callable, Iterator

import numpy as np

from harness.certify.procedures import Asked, Measured, Procedure, judged
from policies.accumulators import Moments, TernaryCounts
from policies.columns import Floats
from policies.fixed_horizon import delong, exact_mcnemar, tost, wilson
from policies.group_sequential import Spending, spending_bounds

ALPHA, RUNS, LOOKS, PER_LOOK = 0.05, 2_000, 5, 400
_Z = 1.959964
_SHIFTS: tuple[Spending, ...] = ("obrien-fleming", "pocock")
_SHARE, _TRIALS = 0.05, 200
_MARGIN = 0.05


def planned_procedures() -> Iterator[Procedure]:
    """Yield the group-sequential and the fixed-horizon tests."""
    for kind in _SHIFTS:
        asked = Asked(
            f"group-sequential, {kind}",
            "equal models told apart",
            ALPHA,
            "the paired z at the same looks",
            "asymptotic",
            planned=True,
        )
        yield judged(asked, _group_sequential(kind), runs=RUNS, looks=LOOKS)
    for name, wrong_is, validity, p_values in (
        ("exact McNemar", "equal models told apart", "exact", _mcnemar),
        ("TOST", "models apart by the margin called alike", "asymptotic", _tost),
        ("DeLong", "equal AUC told apart", "asymptotic", _delong),
    ):
        found = p_values(np.random.default_rng([1, 2_000, len(name)])) < ALPHA
        asked = Asked(name, wrong_is, ALPHA, f"the same at {(LOOKS + 1) // 2} looks", validity, planned=True)  # type: ignore[arg-type]  # a literal of two
        measured = Measured(float(found[:, -1].mean()), float(found.any(axis=1).mean()))
        yield judged(asked, measured, runs=RUNS, looks=1)
    asked = Asked(
        "Wilson", "the share lies outside", ALPHA, "the normal interval", "asymptotic", planned=True
    )
    yield judged(asked, _wilson(), runs=RUNS, looks=1)


def _signs(rng: np.random.Generator, odds: list[float]) -> tuple[Floats, Floats]:
    drawn = rng.multinomial(PER_LOOK, odds, size=(RUNS, LOOKS)).cumsum(axis=1)
    return drawn[..., 0], drawn[..., 1]


def _group_sequential(kind: Spending) -> Measured:
    better, worse = _signs(np.random.default_rng([1, 2_001]), [0.075, 0.075, 0.85])
    n = PER_LOOK * np.arange(1, LOOKS + 1)
    z = np.abs(better - worse) / np.sqrt(better + worse - (better - worse) ** 2 / n)
    bounds = np.array(spending_bounds([k / LOOKS for k in range(1, LOOKS + 1)], kind, ALPHA))
    return Measured(float((z >= bounds).any(axis=1).mean()), float((z >= _Z).any(axis=1).mean()))


def _p_values(count: Callable[[int, int], float | None]) -> Floats:
    """Return the p-value of each run at every second look and the last; 1 where there is none."""
    found = np.ones((RUNS, LOOKS))
    for run in range(RUNS):
        for look in range(0, LOOKS, 2):
            p = count(run, look)
            found[run, look] = 1.0 if p is None else p
    return found


def _mcnemar(rng: np.random.Generator) -> Floats:
    better, worse = _signs(rng, [0.075, 0.075, 0.85])

    def p(run: int, look: int) -> float | None:
        b, c = int(better[run, look]), int(worse[run, look])
        return exact_mcnemar(TernaryCounts(b, PER_LOOK * (look + 1) - b - c, c)).p

    return _p_values(p)


def _tost(rng: np.random.Generator) -> Floats:
    better, worse = _signs(rng, [0.1, 0.1 - _MARGIN, 0.8 + _MARGIN])

    def p(run: int, look: int) -> float | None:
        b, c = int(better[run, look]), int(worse[run, look])
        return tost(Moments(PER_LOOK * (look + 1), b - c, b + c), _MARGIN).p

    return _p_values(p)


def _delong(rng: np.random.Generator) -> Floats:
    rows = 60
    label = rng.binomial(1, 0.4, (RUNS, LOOKS * rows)).astype(np.float64)
    shared = rng.standard_normal(label.shape) + label
    sides = [shared + 0.7 * rng.standard_normal(label.shape) for _ in range(2)]

    def p(run: int, look: int) -> float | None:
        stop = rows * (look + 1)
        return delong(sides[0][run, :stop], sides[1][run, :stop], label[run, :stop]).p

    return _p_values(p)


def _wilson() -> Measured:
    counts = np.random.default_rng([1, 2_002]).binomial(_TRIALS, _SHARE, RUNS)
    kept = {int(k): wilson(int(k), _TRIALS, ALPHA) for k in np.unique(counts)}
    missed = sum(not kept[k][0] <= _SHARE <= kept[k][1] for k in counts.tolist())
    share = counts / _TRIALS
    fooled = np.abs(share - _SHARE) > _Z * np.sqrt(share * (1.0 - share) / _TRIALS)
    return Measured(missed / RUNS, float(fooled.mean()))
