"""Metrics of a group of decisions, which no single decision has: rankings and calibration error.

A group is a unit of the plan: a day, or the decisions that share a `unit` (a query, a user). It is folded
whole and once. Its value under each model lies in [0, 1], so that the difference is bet on like that of any
unit. Rows are sorted by their content before a float is added, so their order never shows.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from policies.columns import Columns, Floats, Ints
from policies.errors import PlanError
from policies.fixed import to_fixed
from policies.options import Options, declared
from policies.ranking import Ranking
from policies.usable import Values, usable_rows

_SCORE_SCALE = 2**24
_BINS_MAX = 1_000


class Rows(NamedTuple):
    """Decisions of all groups: `codes` from 0 to groups - 1 say which; scores and labels are finite."""

    codes: Ints
    score: Floats
    label: Floats
    groups: int


class Sized(NamedTuple):
    """A value per group and what its size is counted in, shape (groups,); no value where the size is 0."""

    value: Floats
    size: Ints


class Grouped(msgspec.Struct, frozen=True):
    """A metric of whole groups: `of` gives the value of each, by one model's scores.

    `binary` demands labels 0 and 1, else at least 0. `probability` demands scores from 0 to 1.
    """

    direction: Literal["lower", "higher"]
    of: Callable[[Rows, Options], Sized]
    needs: tuple[str, ...] = ()
    binary: bool = True
    probability: bool = False
    ternary: bool = False

    def check(self, options: Options) -> None:
        """Refuse a plan that leaves out what this metric needs.

        Raises:
            PlanError: `k`, `bins` or `least` is missing or out of range.
        """
        for key in self.needs:
            if declared(getattr(options, key)) is None:
                raise PlanError(
                    f"metrics.{key}", None, "a declared number: this metric needs one", "Declare it."
                )
        for key, top in (("k", None), ("bins", _BINS_MAX), ("least", None)):
            value = declared(getattr(options, key))
            if value is not None and not (value >= 1 and (top is None or value <= top)):
                limit = "at least 1" if top is None else f"from 1 to {top}"
                raise PlanError(f"metrics.{key}", value, limit, "Correct it.")

    def limit(self, options: Options) -> float:  # noqa: ARG002  # the protocol's signature
        """Return 1: every group's value is a share."""
        return 1.0

    def lowest(self, options: Options) -> float:  # noqa: ARG002  # the protocol's signature
        """Return 0."""
        return 0.0

    def columns(self, options: Options) -> tuple[str, ...]:  # noqa: ARG002  # the protocol's signature
        """Return nothing: scores and labels are always there."""
        return ()

    def values(self, columns: Columns, options: Options) -> Values:  # noqa: ARG002  # the protocol's signature
        """Return the scores of both models over the rows that can be ranked; others are counted."""
        live, other = columns.champion, columns.challenger
        reasons = usable_rows(
            columns,
            {"champion": (live.score, live.score_missing), "challenger": (other.score, other.score_missing)},
            binary=self.binary,
            probability=self.probability,
        )
        if not self.binary:
            reasons.leave("label_outside", columns.label < 0.0)
        return Values(live.score, other.score, reasons.usable, reasons.counts)

    def sized(self, rows: Rows, options: Options) -> Sized:
        """Return the value and size of each group; of no group nothing."""
        return self.of(rows, options) if rows.groups else Sized(np.zeros(0), np.zeros(0, dtype=np.int64))


def ranked_auc(rows: Rows, options: Options) -> Sized:
    """Return the chance that a positive scores above a negative, ties half; sized by the rarer label."""
    del options
    ranking = Ranking(rows.codes, rows.groups, rows.score)
    found = _found(rows, ranking)
    bounds, starts = ranking.bounds, ranking.places[:-1]
    positives = np.diff(found[ranking.places])
    negatives = np.diff(ranking.places) - positives
    # Twice the middle place of each block, counted from 1: integers, whose sum has no order.
    twice = np.diff(found[bounds]) * (bounds[:-1] + bounds[1:] + 1)
    above = np.add.reduceat(twice, ranking.firsts) - positives * (2 * starts + positives + 1)
    return Sized(_divide(above / 2.0, positives * negatives), np.minimum(positives, negatives))


def average_precision(rows: Rows, options: Options) -> Sized:
    """Return the mean over positives of the precision down to their score; sized by positives.

    Decisions of one score come together: the precision is that at the end of their block.
    """
    del options
    ranking = Ranking(rows.codes, rows.groups, rows.score, descending=True)
    found = _found(rows, ranking)
    inside = np.diff(found[ranking.bounds])
    hit = np.flatnonzero(inside)
    blocks = np.diff(np.append(ranking.firsts, inside.size))
    group = np.repeat(np.arange(rows.groups), blocks)[hit]
    stops, start = ranking.bounds[1:][hit], ranking.places[group]
    precision = (found[stops] - found[start]) / (stops - start)
    each = inside[hit]
    total = _per_group(np.repeat(group, each), np.repeat(precision, each), rows.groups)
    positives = np.diff(found[ranking.places])
    return Sized(_divide(total, positives), positives)


def ndcg(rows: Rows, options: Options) -> Sized:
    """Return the discounted gain of the first k over the best possible one; sized by gains above 0.

    Labels are gains (Jarvelin and Kekalainen 2002); the decisions of one score share the mean discount of
    their places (McSherry and Najork 2008).
    """
    k = declared(options.k)
    assert k is not None  # `needs` was checked when the plan was made
    ranking = Ranking(rows.codes, rows.groups, rows.score, descending=True)
    starts, counts = ranking.places[:-1], np.minimum(np.diff(ranking.places), k)
    # A block that begins among the first k is taken whole.
    stops = ranking.bounds[np.searchsorted(ranking.bounds, starts + counts - 1, side="right")]
    first = _first(rows, ranking, stops - starts)
    block = np.searchsorted(ranking.bounds, first.at, side="right")
    block = np.cumsum(np.diff(block, prepend=block[:1]) != 0)
    # By content: floats are added in one order.
    order = Ranking(block, int(block.max(initial=0)) + 1, first.label).order
    shared = np.bincount(block, weights=_discount(first.place, k)) / np.bincount(block)
    gained = _per_group(first.codes, first.label[order] * shared[block], rows.groups)
    best = _first(rows, Ranking(rows.codes, rows.groups, rows.label, descending=True), counts)
    ideal = _per_group(best.codes, best.label * _discount(best.place, k), rows.groups)
    above = np.bincount(rows.codes, weights=rows.label > 0.0, minlength=rows.groups).astype(np.int64)
    return Sized(np.minimum(_divide(gained, ideal), 1.0), above)


def calibration_error(rows: Rows, options: Options) -> Sized:
    """Return the distance of mean score and rate over equal bins, weighted by decisions; sized by those.

    The expected calibration error (Naeini et al. 2015), from integers: it is the same in any order.
    """
    bins = declared(options.bins)
    assert bins is not None  # `needs` was checked when the plan was made
    cell = rows.codes * bins + np.minimum((rows.score * bins).astype(np.int64), bins - 1)
    apart = to_fixed(rows.score - rows.label, _SCORE_SCALE)
    sums = np.bincount(cell, weights=apart, minlength=rows.groups * bins).reshape(rows.groups, bins)
    sizes = np.bincount(rows.codes, minlength=rows.groups)
    return Sized(_divide(np.abs(sums).sum(axis=1) / _SCORE_SCALE, sizes), sizes)


def _found(rows: Rows, ranking: Ranking) -> Ints:
    """Return how many positives lie before each place, and before the end."""
    return np.append(0, np.cumsum((rows.label == 1.0)[ranking.order]))


class _First(NamedTuple):
    codes: Ints
    place: Ints
    at: Ints
    label: Floats


def _first(rows: Rows, ranking: Ranking, counts: Ints) -> _First:
    """Return the first rows of each group, `counts` of them: places in it and in all, and labels."""
    codes = np.repeat(np.arange(rows.groups), counts)
    place = np.arange(codes.size) - np.repeat(np.cumsum(counts) - counts, counts)
    at = ranking.places[codes] + place
    return _First(codes, place, at, rows.label[ranking.order[at]])


def _discount(place: Ints, k: int) -> Floats:
    discount: Floats = np.where(place < k, 1.0 / np.log2(place + 2.0), 0.0)
    return discount


def _per_group(codes: Ints, weights: Floats, groups: int) -> Floats:
    sums: Floats = np.bincount(codes, weights=weights, minlength=groups).astype(np.float64)
    return sums


def _divide(part: Floats, whole: Floats | Ints) -> Floats:
    shares: Floats = np.divide(part, whole, out=np.zeros(part.size), where=whole > 0)
    return shares


GROUPED: dict[str, Grouped] = {
    "auc": Grouped("higher", ranked_auc),
    "average_precision": Grouped("higher", average_precision),
    "ndcg": Grouped("higher", ndcg, needs=("k",), binary=False),
    "calibration_error": Grouped("lower", calibration_error, needs=("bins",), probability=True),
}
