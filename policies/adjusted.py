"""The difference adjusted for what was known before the decision, at any look: CUPED, by regression.

A covariate explains part of the noise of the difference. The regression is centred at *registered* means,
those of the population asked about, so that its intercept is the mean difference there. What a service
recorded before it decided holds nothing of the outcome. The mixture of t tests is exact for normal errors and
a limit else: it is `asymptotic`, is shown, and never gates.
"""

import math
from fractions import Fraction
from typing import Literal

import msgspec
import numpy as np

from policies.asymptotic import UNITS_MIN
from policies.columns import Columns, Ints, Mask
from policies.figures import tidy
from policies.fixed import to_fixed
from policies.gram import Gram
from policies.metric_plan import COVARIATE_LARGEST, MetricPlan
from policies.options import declared
from policies.plan import Plan

SCALE = 2**20


class Adjusted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The adjusted difference in the metric's unit, above 0 where the challenger is better; report only.

    `log_e` is against "no difference at the registered means", two-sided. `explained` is the share of
    the variance that the covariates took away. None with the `reasons` why.
    """

    units: int
    point: float | None
    low: float | None
    high: float | None
    log_e: float | None
    explained: float | None
    reasons: tuple[str, ...]
    validity: Literal["asymptotic"] = "asymptotic"


def fold_gram(difference: Ints, read: Columns, usable: Mask, metric: MetricPlan) -> Gram:
    """Return the Gram matrix of the rows whose covariates are finite and within 2**19."""
    columns = [read.numbers(f"f.{name}")[usable] for name in declared(metric.covariates) or ()]
    fine = np.ones(difference.size, dtype=np.bool_)
    for column in columns:
        fine &= np.abs(column) <= COVARIATE_LARGEST  # NaN is not
    return Gram.of([*(to_fixed(column[fine], SCALE) for column in columns), difference[fine]])


def adjusted(gram: Gram, metric: MetricPlan, plan: Plan) -> Adjusted:
    """Return the adjusted difference at the registered means of the covariates."""
    planned = declared(metric.planned_units)
    assert planned is not None  # checked when the plan was made
    freedom = gram.count - len(gram.totals)
    if gram.count < UNITS_MIN:
        return _none(gram, f"{gram.count} units, {UNITS_MIN} are needed")
    fitted = _fitted(gram, [Fraction(mean) * SCALE for mean in declared(metric.covariate_means) or ()])
    if fitted is None:
        return _none(gram, "the covariates are not independent of each other")
    point, residual, inverse, total = fitted
    if not residual:
        return _none(gram, "the differences do not vary beside the covariates")
    variance = float(residual / freedom)
    error = math.sqrt(variance * float(inverse))
    rate = 2.0 * math.log(1.0 / plan.policy.alpha)
    phi = planned / (rate + math.log1p(rate))
    shrink = phi / (phi + variance / error**2)
    half = error * reach(freedom, shrink, plan.policy.alpha)
    unit = plan.scale
    return Adjusted(
        units=gram.count,
        point=tidy(float(point) / unit),
        low=tidy((float(point) - half) / unit),
        high=tidy((float(point) + half) / unit),
        log_e=tidy(t_mixture(float(point) / error, freedom, shrink)),
        explained=tidy(1.0 - float(residual / total)),
        reasons=(),
    )


def t_mixture(t: float, freedom: int, shrink: float) -> float:
    """Return the log of the mixed likelihood ratio of a t statistic (Lindon, Ham, Tingley and Bojinov 2024).

    >>> round(t_mixture(0.0, 100, 0.25), 6)
    -0.693147
    """
    squares = t * t / freedom
    return 0.5 * math.log(shrink) + 0.5 * (freedom + 1) * (math.log1p(squares) - math.log1p(shrink * squares))


def reach(freedom: int, shrink: float, alpha: float) -> float:
    """Return the |t| at which the mixture reaches 1/alpha; infinite where no t does yet."""
    grown = math.exp(-math.log(shrink * alpha * alpha) / (freedom + 1))
    left = 1.0 - shrink * grown
    return math.sqrt(freedom * (grown - 1.0) / left) if left > 0.0 else math.inf


def _fitted(gram: Gram, means: list[Fraction]) -> tuple[Fraction, Fraction, Fraction, Fraction] | None:
    """Return intercept, squares left, the intercept's entry of the inverse, and the squares before; exact."""
    last, count = len(means), gram.count
    centre = [*means, Fraction(0)]

    def moment(i: int, j: int) -> Fraction:
        crossed = centre[i] * gram.totals[j] + centre[j] * gram.totals[i]
        return gram.product(i, j) - crossed + count * centre[i] * centre[j]

    sums = [gram.totals[i] - count * centre[i] for i in range(last + 1)]
    matrix = [[Fraction(count), *sums[:last]]]
    matrix += [[sums[i], *(moment(i, j) for j in range(last))] for i in range(last)]
    right = [sums[last], *(moment(i, last) for i in range(last))]
    solved = _solved(matrix, [right, [Fraction(int(k == 0)) for k in range(last + 1)]])
    if solved is None:
        return None
    beta, inverse = solved
    squares = moment(last, last)
    residual = squares - sum((b * r for b, r in zip(beta, right, strict=True)), Fraction(0))
    return beta[0], residual, inverse[0], squares - sums[last] * sums[last] / count


def _solved(matrix: list[list[Fraction]], rights: list[list[Fraction]]) -> list[list[Fraction]] | None:
    """Return the solution for each right side, None where there is not one alone."""
    size = len(matrix)
    rows = [[*row, *(right[k] for right in rights)] for k, row in enumerate(matrix)]
    for k in range(size):
        pivot = next((r for r in range(k, size) if rows[r][k]), None)
        if pivot is None:
            return None
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [value / rows[k][k] for value in rows[k]]
        for r in range(size):
            if r != k and rows[r][k]:
                rows[r] = [value - rows[r][k] * own for value, own in zip(rows[r], rows[k], strict=True)]
    return [[row[size + side] for row in rows] for side in range(len(rights))]


def _none(gram: Gram, reason: str) -> Adjusted:
    return Adjusted(gram.count, None, None, None, None, None, (reason,))
