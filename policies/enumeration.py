"""The proof by enumeration: every sample of up to twelve ternary outcomes, in exact rational arithmetic.

An e-value is exact when it expects at most 1 under every distribution of its null at every sample size, and
each step expects at most what was there: then it is a supermartingale, and Ville's inequality holds at any
number of looks. Nothing is rounded: bets are those of the default grid to sixteen binary digits. The three
sums take exponentials, which are no rationals: they are told to 50 digits, and 40 of them are believed.
"""

import decimal
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import comb, factorial

import msgspec

from policies.evalues import grid
from policies.policy_plan import GridPlan

N_MAX = 12
NULLS = tuple(Fraction(k, 100) for k in (-30, -1, 0, 1, 30))
_DISCORDANT = tuple(Fraction(k, 20) for k in (1, 3, 10, 20))
_BELOW = (Fraction(0), Fraction(1, 20), Fraction(3, 10))
_DIGITS = 50
_BINARY = 2**16
# What 50 digits may be short by: far more than the few hundred roundings of one figure add up to.
_SLACK = Fraction(1, 10**40)

Law = tuple[Fraction, Fraction, Fraction]
Counts = tuple[int, int, int]
Process = Callable[[Counts, Fraction], Fraction]


class Enumerated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One e-process over all its cases. `largest` is the largest expectation of one outcome or more.

    `samples` counts the samples weighed, `steps` the states from which one more step was taken.
    """

    process: str
    laws: int
    samples: int
    steps: int
    largest: str
    holds: bool


def enumerated(n_max: int = N_MAX) -> tuple[Enumerated, ...]:
    """Return the enumeration of every e-process whose validity is exact, up to `n_max` outcomes.

    >>> [each.holds for each in enumerated(2)]
    [True, True, True, True]
    """
    return (
        checked("betting grid, any null", betting, ternary_laws(), n_max),
        checked("sequential McNemar, two-sided", mcnemar, _equal_laws(), n_max),
        checked("weights and rewards, any null", _weighted, _weighted_laws(), n_max),
        checked("three sums, any null", three_sums, ternary_laws(), n_max, slack=_SLACK),
    )


def checked(
    name: str,
    process: Process,
    laws: Iterator[tuple[Fraction, Law]],
    n_max: int,
    *,
    slack: Fraction = Fraction(0),
) -> Enumerated:
    """Return the process weighed under each law of its null, up to `n_max` outcomes.

    It is a function of how often the outcome was better, level and worse, and of the null.
    """
    largest, samples, steps, count, holds = Fraction(0), 0, 0, 0, True
    value: dict[tuple[Counts, Fraction], Fraction] = {}
    for null, law in laws:
        count += 1
        for n in range(n_max + 1):
            for counts in _counts(n):
                value.setdefault((counts, null), process(counts, null))
            expected = sum((_chance(k, law) * value[k, null] for k in _counts(n)), Fraction(0))
            largest = max(largest, expected) if n else largest  # of nothing it is 1 by definition
            samples += sum(1 for _ in _counts(n))
        for n in range(n_max):
            for b, z, c in _counts(n):
                after = ((b + 1, z, c), (b, z + 1, c), (b, z, c + 1))
                expected = sum((p * value[k, null] for p, k in zip(law, after, strict=True)), Fraction(0))
                holds = holds and expected <= value[(b, z, c), null] * (1 + slack)
                steps += 1
    shown = "1" if largest == 1 else f"1 - {float(1 - largest):.3g}"
    return Enumerated(name, count, samples, steps, shown, holds and largest <= 1 + slack)


def _counts(n: int) -> Iterator[Counts]:
    return ((b, n - b - c, c) for b in range(n + 1) for c in range(n - b + 1))


def _chance(counts: Counts, law: Law) -> Fraction:
    b, z, c = counts
    ways = comb(b + z + c, b) * comb(z + c, c)
    return ways * law[0] ** b * law[1] ** z * law[2] ** c


def ternary_laws() -> Iterator[tuple[Fraction, Law]]:
    """Yield nulls with laws of better, level and worse whose mean is at most the null."""
    for null in NULLS:
        for discordant in _DISCORDANT:
            for below in _BELOW:
                better = (discordant + null - below) / 2
                if 0 <= better <= discordant:
                    yield null, (better, 1 - discordant, discordant - better)


def _equal_laws() -> Iterator[tuple[Fraction, Law]]:
    for discordant in _DISCORDANT:
        yield Fraction(0), (discordant / 2, 1 - discordant, discordant / 2)


def _weighted_laws() -> Iterator[tuple[Fraction, Law]]:
    """Yield laws of the values 3, 1/5 and 0 whose mean is at most the null, which is above 0."""
    for often in (Fraction(1, 10), Fraction(1, 2)):
        for rare in (Fraction(1, 50), Fraction(1, 5)):
            mean = 3 * rare + often / 5
            for above in (Fraction(0), Fraction(1, 10)):
                yield mean + above, (rare, 1 - rare - often, often)


def _bets() -> list[Fraction]:
    default = GridPlan()
    bets = grid(default.size, default.low, default.high).tolist()
    return [Fraction(round(bet * _BINARY), _BINARY) for bet in bets]


def betting(counts: Counts, null: Fraction) -> Fraction:
    """Return the e-value of the default grid against "the mean is at most `null`"."""
    b, z, c = counts
    bets = _bets()
    total = Fraction(0)
    for bet in bets:
        stake = bet / (null + 1)
        total += (1 + stake * (1 - null)) ** b * (1 - stake * null) ** z * (1 - bet) ** c
    return total / len(bets)


def mcnemar(counts: Counts, null: Fraction) -> Fraction:
    """Return the sequential McNemar e-value with a = 2, whose beta functions are rationals."""
    assert null == 0, "it tests that both signs are alike"
    b, _, c = counts
    # B(2 + b, 2 + c)/B(2, 2) 2^(b + c), with B(x, y) = (x - 1)! (y - 1)!/(x + y - 1)!
    return Fraction(factorial(1 + b) * factorial(1 + c) * 6 * 2 ** (b + c), factorial(3 + b + c))


def _weighted(counts: Counts, null: Fraction) -> Fraction:
    """Return the capital of five stakes on the values 3, 0 and 1/5, bet on like weights."""
    high, zero, low = counts
    stakes = [Fraction(k, 2000) for k in (1, 20, 200, 2000, 8000)]
    total = Fraction(0)
    for stake in stakes:
        base = 1 + stake * null
        total += ((1 + 3 * stake) / base) ** high * (1 / base) ** zero * ((1 + stake / 5) / base) ** low
    return total / len(stakes)


def three_sums(counts: Counts, null: Fraction) -> Fraction:
    """Return the three-sum e-value in 50 digits, as the rational that those digits are."""
    b, z, c = counts
    reach = null + 1
    drift = (Fraction(b - c) - (b + z + c) * null) / reach
    spread = (b + c - 2 * null * (b - c) + (b + z + c) * null * null) / reach**2
    total = Fraction(0)
    bets = _bets()
    with decimal.localcontext() as context:
        context.prec = _DIGITS
        for bet in bets:
            psi = Fraction(-_decimal(1 - bet).ln()) - bet
            total += Fraction(_decimal(bet * drift - psi * spread).exp())
    return total / len(bets)


def _decimal(value: Fraction) -> decimal.Decimal:
    return decimal.Decimal(value.numerator) / decimal.Decimal(value.denominator)
