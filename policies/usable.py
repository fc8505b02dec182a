"""Which rows a metric can use: every other row is counted under its first reason."""

import math
import sys
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from policies.columns import Columns, Floats, Mask

_FINITE = (-sys.float_info.max, sys.float_info.max)


class Values(NamedTuple):
    """Values per decision; rows outside `usable` hold anything.

    They lie from `floor` to the metric's limit; what lies beyond is clipped or refused, and counted.
    """

    champion: Floats
    challenger: Floats
    usable: Mask
    reasons: dict[str, int]
    floor: float = -math.inf


class Reasons:
    """Counts rows by the first reason that leaves them out, so that counts add up to rows."""

    def __init__(self, rows: int) -> None:
        self.usable: Mask = np.ones(rows, dtype=np.bool_)
        self.counts: dict[str, int] = {}

    def leave(self, reason: str, rows: Mask) -> None:
        """Leave out `rows` that are still usable, counted under `reason`; zero counts are not kept."""
        if not rows.any():
            return
        left = self.usable & rows
        count = int(np.count_nonzero(left))
        if count:
            self.counts[reason] = count
            self.usable &= ~rows


def usable_rows(
    columns: Columns, answers: Mapping[str, tuple[Floats, Mask]], *, binary: bool, probability: bool
) -> Reasons:
    """Return which rows have a label and both answers, and why the others have not.

    `answers` holds each model's answer and where it is missing. `binary` demands labels 0 and 1,
    `probability` answers from 0 to 1.
    """
    reasons = Reasons(columns.rows)
    label = columns.label
    as_expected = ((label == 0.0) | (label == 1.0)).all() if binary else lies_within(label, *_FINITE)
    if not as_expected:
        reasons.leave("label_missing", np.isnan(label))
        reasons.leave("label_infinite", np.isinf(label))
        if binary:
            reasons.leave("label_outside", (label != 0.0) & (label != 1.0))
    for name, (answer, missing) in answers.items():
        reasons.leave(f"{name}_missing", missing)
        if lies_within(answer, *((0.0, 1.0) if probability else _FINITE)):
            continue
        reasons.leave(f"{name}_not_a_number", ~np.isfinite(answer))
        if probability:
            reasons.leave(f"{name}_outside", (answer < 0.0) | (answer > 1.0))
    return reasons


def lies_within(values: Floats, low: float, high: float) -> bool:
    """Return whether all values lie from `low` to `high`; NaN lies nowhere.

    Two passes that keep nothing: what is nearly always so is asked before rows are told apart.

    >>> lies_within(np.array([0.0, np.nan]), 0.0, 1.0)
    False
    """
    return not values.size or bool(low <= values.min() and values.max() <= high)
