"""What a proof of retraining is made of: the registered rule, the rivals, and the facts around them."""

import math
from typing import Literal

import msgspec

from policies.checks import between, positive, refuse
from policies.evidence import Evidence

CHALLENGERS = ("recent", "all")
RECALIBRATED = "recalibrated"


class RetrainRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What must be shown. Registered before the held-out range is read.

    `alpha` is what this proof may spend, over all its contenders and however often it looks; a sequence of
    proofs shares one wealth. `margin`: how much better a challenger must be; `slice_margin`: how much worse
    it may be on a guarded slice; both in the metric's unit. `min_coverage`: share of matured decisions with
    a label. `max_label_bias`: distance between the scores of labelled and unlabelled decisions. `max_skew`:
    share of replayed feature values that differ. `worth` is what one unit of the metric on one decision is
    worth, `cost` what retraining costs, in the same currency.
    """

    alpha: float = 0.01
    margin: float
    slice_margin: float = 0.01
    min_coverage: float = 0.8
    max_label_bias: float = 0.05
    max_skew: float = 0.001
    decisions_per_day: float = 1.0
    horizon_days: float = 30.0
    worth: float = 1.0
    cost: float = 0.0
    cooldown_days: float = 7.0

    def __post_init__(self) -> None:
        between("retraining.alpha", self.alpha, 0.0, 0.5)
        for key in ("margin", "cost", "cooldown_days"):
            if not 0.0 <= getattr(self, key) < math.inf:
                refuse(
                    f"retraining.{key}", getattr(self, key), "a finite number of at least 0", "Correct it."
                )
        positive(
            "retraining",
            slice_margin=self.slice_margin,
            decisions_per_day=self.decisions_per_day,
            horizon_days=self.horizon_days,
            worth=self.worth,
        )
        for key in ("min_coverage", "max_label_bias", "max_skew"):
            if not 0.0 <= getattr(self, key) <= 1.0:
                refuse(f"retraining.{key}", getattr(self, key), "a share from 0 to 1", "Correct it.")


class Contender(msgspec.Struct, frozen=True):
    """A rival of the champion with its evidence on the held-out range, folded under one plan.

    `name`: "recent" (trained on the recent log), "all" (on all of it) or "recalibrated" (the champion's
    scores, moved by intercept and slope). `rival` compares it with the recalibrated champion in the
    champion's place, None for the recalibrated itself. `slices` are guarded parts of the range.
    `trained_until` is the last position that it learned from.
    """

    name: Literal["recent", "all", "recalibrated"]
    champion: Evidence
    rival: Evidence | None
    slices: dict[str, Evidence]
    trained_until: int


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the harness found around the comparison.

    `broken`: reasons of the quality rules that broke. `replayed` and `skewed` count feature values that were
    computed again and that differed, None when no replay was made. `matured` decisions are old enough for
    a label, `labelled` of them have one; `label_bias` and its chance compare the scores of both kinds. The
    range held out is [heldout_start, heldout_stop) in positions; `gap_us` lies between the last decision
    learned from and the first one held out, `window_us` is the label's window. `read_before` tells whether
    an earlier proof has read the range. `days_since` the last retraining, None for never.
    """

    broken: tuple[str, ...]
    replayed: int | None
    skewed: int | None
    matured: int
    labelled: int
    label_bias: float
    label_bias_chance: float
    heldout_start: int
    heldout_stop: int
    gap_us: int
    window_us: int
    read_before: bool
    days_since: float | None = None
