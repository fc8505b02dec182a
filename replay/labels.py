"""Labels: which decisions count for a label, and with what, by how immature ones are treated (ADR 0025)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import msgspec
import numpy as np

from replay.id_index import NEVER
from replay.join import DUPLICATE, EXCLUDED, IMMATURE, LATE, MISSING, USED, Codes, judge, microseconds
from replay.matching import Flags, Floats, Integers, Latest
from replay.ranges import AsOf

Immature = Literal["exclude", "censor", "weight"]


class LabelRule(msgspec.Struct, frozen=True, kw_only=True):
    """A label to learn: its outcomes' name, how long it may take, and what immature decisions are.

    `exclude`: not in the set. `censor`: rows followed only so far, for time-to-event models; a decision
    without an outcome in its window is followed to the window's end. `weight`: in the set when their outcome
    is known already, each known outcome weighed by one over the chance to be known by now.
    """

    name: str
    window: timedelta
    immature: Immature = "exclude"


@dataclass(frozen=True, slots=True)
class Labelled:
    """Per decision row: a code (USED or a reason of `replay.join`), and what is known where it is USED.

    `value` is NaN where a censored row has none. `censored` and `followed_us` are set for `censor`, `weight`
    for `weight`, else None.
    """

    codes: Codes
    value: Floats
    censored: Flags | None = None
    followed_us: Integers | None = None
    weight: Floats | None = None


def labelled(latest: Latest, excluded: Flags, as_of: AsOf, immature: Immature) -> Labelled:
    """Return what each decision row counts as, under the way immature ones are treated."""
    codes = judge(latest, excluded, as_of)
    value = latest.rows(latest.value)
    if immature == "exclude":
        return Labelled(codes, value)
    has = (latest.rows(latest.position) != NEVER) & ~np.isnan(value)
    if immature == "censor":
        return _censored(latest, codes, has, as_of)
    return _weighted(latest, codes, has, as_of)


def _censored(latest: Latest, codes: Codes, has: Flags, as_of: AsOf) -> Labelled:
    """Return every decision that was followed at all; a withdrawn outcome is still `missing`."""
    age = microseconds(as_of) - latest.of.occurred_us
    withdrawn = (latest.rows(latest.position) != NEVER) & ~has
    open_ = np.isin(codes, (IMMATURE, MISSING, LATE)) & ~withdrawn & (age >= 0)
    codes = np.where(open_, USED, codes).astype(np.int8)
    codes[(codes == IMMATURE) & withdrawn & (age >= 0)] = MISSING
    took = np.maximum(latest.rows(latest.happened) - latest.of.occurred_us, 0)
    followed = np.where(has, took, np.minimum(age, latest.window_us))
    return Labelled(codes, latest.rows(latest.value), ~has, followed)


def _weighted(latest: Latest, codes: Codes, has: Flags, as_of: AsOf) -> Labelled:
    """Return every known outcome with one over the share of decisions old enough to show one that slow.

    The share is taken over all decisions that are neither duplicate nor excluded, whose ages are all known:
    no model of the delay is fitted. It holds where delay and age are independent.
    """
    age = microseconds(as_of) - latest.of.occurred_us
    codes = np.where((codes == IMMATURE) & has, USED, codes).astype(np.int8)
    ages = np.sort(age[~np.isin(codes, (DUPLICATE, EXCLUDED))])
    # A row that is in the set was old enough to show it: clocks that disagree must not say otherwise.
    delay = np.minimum(np.maximum(latest.rows(latest.known) - latest.of.occurred_us, 0), age)
    older = ages.size - np.searchsorted(ages, delay, side="left")
    weight = np.where(codes == USED, ages.size / np.maximum(older, 1), 0.0)
    return Labelled(codes, latest.rows(latest.value), weight=weight)
