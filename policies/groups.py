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
from policies.usable import Values, usable_rows

_SCORE_SCALE = 2**24
_BINS_MAX = 1_000


class Rows(NamedTuple):
    """Decisions of all groups: `codes` from 0 to groups - 1 say which; scores and labels are finite."""

    codes: Ints
    score: Floats
    label: Floats
    groups: int

    def ordered(self, order: Ints) -> "Rows":
        """Return the same rows in another order."""
        return Rows(self.codes[order], self.score[order], self.label[order], self.groups)


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
    codes, score, label, groups = rows.ordered(np.lexsort((rows.label, rows.score, rows.codes)))
    place, block = _places(codes), _blocks(codes, score)
    first, last = _ends(block, place)
    middle = (first + last)[block] / 2.0 + 1.0
    positives = _per_group(codes, label, groups)
    negatives = np.bincount(codes, minlength=groups) - positives
    above = _per_group(codes, middle * label, groups) - positives * (positives + 1.0) / 2.0
    return Sized(_divide(above, positives * negatives), np.minimum(positives, negatives).astype(np.int64))


def average_precision(rows: Rows, options: Options) -> Sized:
    """Return the mean over positives of the precision down to their score; sized by positives.

    Decisions of one score come together: the precision is that at the end of their block.
    """
    del options
    codes, score, label, groups = rows.ordered(np.lexsort((rows.label, -rows.score, rows.codes)))
    place, block = _places(codes), _blocks(codes, score)
    last = _ends(block, place)[1][block]
    found = np.cumsum(label)
    before = (found - label)[np.arange(codes.size) - place]  # positives of the groups before
    ends = np.flatnonzero(np.append(block[1:] != block[:-1], True)) if codes.size else codes
    precision = (found[ends][block] - before) / (last + 1.0)
    positives = _per_group(codes, label, groups)
    return Sized(_divide(_per_group(codes, label * precision, groups), positives), positives.astype(np.int64))


def ndcg(rows: Rows, options: Options) -> Sized:
    """Return the discounted gain of the first k over the best possible one; sized by gains above 0.

    Labels are gains (Jarvelin and Kekalainen 2002); the decisions of one score share the mean discount of
    their places (McSherry and Najork 2008).
    """
    codes, score, label, groups = rows.ordered(np.lexsort((rows.label, -rows.score, rows.codes)))
    k = declared(options.k)
    assert k is not None  # `needs` was checked when the plan was made
    place, block = _places(codes), _blocks(codes, score)
    discount = np.where(place < k, 1.0 / np.log2(place + 2.0), 0.0)
    shared = np.bincount(block, weights=discount) / np.maximum(np.bincount(block), 1)
    gained = _per_group(codes, label * shared[block], groups)
    best = np.lexsort((-rows.label, rows.codes))
    ideal = _per_group(codes, rows.label[best] * discount, groups)
    above = np.bincount(codes, weights=label > 0.0, minlength=groups).astype(np.int64)
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


def _places(codes: Ints) -> Ints:
    """Return each row's place in its group, from 0; `codes` are sorted."""
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))  # numpy's signature
    places: Ints = np.arange(codes.size) - np.repeat(starts, np.diff(np.append(starts, codes.size)))
    return places


def _blocks(codes: Ints, score: Floats) -> Ints:
    """Return the number of each row's block of equal scores within a group; rows are sorted."""
    new = (codes[1:] != codes[:-1]) | (score[1:] != score[:-1])
    blocks: Ints = np.append(0, np.cumsum(new))
    return blocks


def _ends(block: Ints, place: Ints) -> tuple[Ints, Ints]:
    """Return the first and the last place of each block."""
    last = np.flatnonzero(np.append(block[1:] != block[:-1], True))  # numpy's signature
    return place[np.append(0, last[:-1] + 1)], place[last]


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
