"""Weights: what each row of a training set counts for, from how it came to be seen (ADR 0025)."""

import math
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from replay.errors import TooFewEffective, WeightsUnusable
from replay.matching import Flags, Floats

MIN_EFFECTIVE = 100.0


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """Where the weights come from; they multiply (dr with inclusion is declared no more: docs/adr/0105).

    `inclusion`: one over the probability that the decision was recorded at all. `policy`: what another
    policy would have seen, from the logged propensities: `ips` one over the propensity where that policy
    acts as was acted, else 0; `snips` the same scaled to a mean of 1; `dr` also a column `label_dr`, the
    reward model's score corrected by the weighted residual, for the decisions without a label too.
    `target` is that policy: `decision:<value>` (always this one), `model:<name>:<version>` (what a
    challenger decided in shadow), or None: each decision as if its action had been taken by all.
    `reward` names the model whose scores are the reward of the target's action. A weight is cut at `clip`.
    A set worth fewer than `min_effective` rows of equal weight is refused.
    """

    inclusion: bool = False
    policy: Literal["ips", "snips", "dr"] | None = None
    target: str | None = None
    reward: str | None = None
    clip: float | None = None
    min_effective: float = MIN_EFFECTIVE

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if self.policy is None and not self.inclusion:
            raise WeightsUnusable("they name no source.", "Expected inclusion = true, a policy, or both.")
        if self.policy is None and (self.target or self.reward):
            raise WeightsUnusable(
                "a target or reward without a policy.", "Expected policy = ips, snips or dr."
            )
        if (self.policy == "dr") != (self.reward is not None):
            raise WeightsUnusable("policy and reward do not fit.", "Expected a reward model with dr alone.")
        if self.policy == "dr" and self.target is None:
            raise WeightsUnusable("dr without a target.", "Expected the policy whose reward is estimated.")
        if self.target is not None and self.target.partition(":")[0] not in {"decision", "model"}:
            raise WeightsUnusable(
                f"target {self.target!r}.", "Expected decision:<value> or model:<name>:<version>."
            )
        if self.clip is not None and not self.clip >= 1.0:
            raise WeightsUnusable(f"clip {self.clip}.", "Expected 1 or more.")


@dataclass(frozen=True, slots=True)
class Weighed:
    """Weights of rows and what they are worth: Kish's effective number, the largest share, how many cut."""

    weight: Floats
    account: dict[str, float]


def chances(probability: Floats, used: Flags, what: str) -> Floats:
    """Return one over each probability where `used`, 0 elsewhere.

    Raises:
        WeightsUnusable: a used row has none, or one that is not above 0 and at most 1.
    """
    bad = used & ~((probability > 0.0) & (probability <= 1.0))
    if bad.any():
        raise WeightsUnusable(
            f"{int(np.count_nonzero(bad)):,} of {int(np.count_nonzero(used)):,} rows have no usable {what}.",
            f"Expected a {what} above 0 and at most 1 with each decision.",
        )
    return np.divide(1.0, probability, out=np.zeros(probability.size), where=used)


def weighed(weight: Floats, plan: Weights | None) -> Weighed:
    """Return the weights of a set's rows, cut and scaled, with their account; exact sums, whatever the order.

    Raises:
        TooFewEffective: they are worth fewer rows than the plan asks for.

    >>> weighed(np.array([1.0, 3.0]), None).account["effective"]
    1.6
    """
    clip, cut = (None if plan is None else plan.clip), 0
    if clip is not None:
        cut = int(np.count_nonzero(weight > clip))
        weight = np.minimum(weight, clip)
    total, squares = math.fsum(weight), math.fsum(weight * weight)
    effective = total * total / squares if squares else 0.0
    if plan is not None and effective < plan.min_effective:
        raise TooFewEffective(effective, plan.min_effective, weight.size)
    if plan is not None and plan.policy == "snips":
        weight = weight * (weight.size / total)
    account = {
        "rows": float(weight.size),
        "effective": effective,
        "mean": math.fsum(weight) / weight.size if weight.size else 0.0,
        "largest_share": float(weight.max()) / math.fsum(weight) if total else 0.0,
        "cut": float(cut),
    }
    return Weighed(weight, account)


def doubly_robust(label: Floats, reward: Floats, weight: Floats) -> Floats:
    """Return the reward model's score, corrected where the target acts as was acted.

    A label that is NaN counts for nothing, which only a weight of 0 allows.

    >>> doubly_robust(np.array([1.0, np.nan]), np.array([0.5, 0.25]), np.array([2.0, 0.0])).tolist()
    [1.5, 0.25]
    """
    residual = np.where(weight > 0.0, label - reward, 0.0)
    assert not np.isnan(residual).any(), "a weighed row has its label"
    return np.asarray(reward + weight * residual, dtype=np.float64)
