"""The rule of a proof of retraining: what must be shown, registered before the held-out range is read."""

import math

import msgspec

from policies.checks import positive, refuse


class RetrainRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What must be shown beyond the policy's alpha, which all contenders share however often it is looked.

    `margin`: how much better a challenger must be; `slice_margin`: how much worse it may be on a guarded
    slice; both in the primary metric's unit. `min_coverage`: share of matured decisions with a label.
    `max_label_bias`: distance between the scores of labelled and unlabelled decisions. `max_skew`: share of
    replayed values that differ. `worth` is what one unit of the metric on one decision is worth, `cost` what
    retraining costs, in the same currency.
    """

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
