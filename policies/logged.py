"""Logged decisions with propensities, folded for off-policy estimates: integers that merge, no rows.

The value of another policy is E[w r], w its chance of the logged action over the recorded propensity, r the
reward scaled to [0, 1]. For a value D of at least 0 and a stake k the product of (1 + k D)/(1 + k v) expects
at most 1 whenever E[D | past] <= v. So the sum of ln(1 + k D) per stake serves every null v at once, needs no
upper bound on D, and falls as v rises: it is bet k v/(1 + k v) of Waudby-Smith and Ramdas (2024), one-sided.
"""

from functools import reduce
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from policies.accumulators import GridCapital, Moments
from policies.checks import between, positive, refuse
from policies.columns import Floats, Ints
from policies.errors import ColumnsError, EvidenceMismatch
from policies.evalues import grid
from policies.fixed import to_fixed
from recorders.canonical import canonical_json, digest

SCALE = 2**20
_LARGEST = 2.0**19  # a corrected prediction then still fits the fixed point
_NEEDED = ("propensity", "target", "reward")
_MODELLED = ("predicted_logged", "predicted_target")
STAKES = grid(20, 0.0005, 4.0)
MIN_EFFECTIVE = 100.0


class LoggedPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is registered before rewards are read.

    Rewards lie in [low, high]; larger is better. `weight_max` is the largest weight that the exploration of
    the log allows, 1 over its smallest propensity; a larger one is counted and stops. `clip` cuts weights
    in the sequences, which keeps both ends valid and bounds what one decision can do.
    """

    low: float = 0.0
    high: float = 1.0
    weight_max: float
    clip: float
    alpha: float = 0.05
    min_effective: float = MIN_EFFECTIVE
    max_weight_share: float = 0.05

    def __post_init__(self) -> None:
        positive("logged", width=self.high - self.low, min_effective=self.min_effective)
        between("logged.weight_max", self.weight_max, 1.0, _LARGEST)
        between("logged.alpha", self.alpha, 0.0, 0.5)
        between("logged.max_weight_share", self.max_weight_share, 0.0, 1.0)
        if not 1.0 < self.clip <= self.weight_max:
            refuse(
                "logged.clip",
                self.clip,
                f"above 1 and at most weight_max, {self.weight_max!r}",
                "Correct it.",
            )

    @property
    def digest(self) -> str:
        """Return the digest that evidence carries."""
        return digest(canonical_json(msgspec.to_builtins(self)))


class LoggedEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sums of logged decisions; every row is used or has a reason.

    Moments in units of 1/SCALE: `weights` (w), `rewards` (r), `gains` (w r), `doubly` and `switched` (of the
    decisions with predictions). Capitals, with weights cut to the clip: `value` (w r), `missed` (w (1 - r)),
    `better` (1 + (w - 1) r), `worse` (1 + (w - 1)(1 - r)); and of the weights alone: `heavy` (w), `light`
    ((weight_max - w)/(weight_max - 1)).
    """

    plan: str
    rows: int
    reasons: dict[str, int]
    unsupported: int
    largest: int
    weights: Moments
    rewards: Moments
    gains: Moments
    doubly: Moments
    switched: Moments
    capitals: dict[str, GridCapital]

    @classmethod
    def empty(cls, plan: LoggedPlan) -> "LoggedEvidence":
        """Return the evidence of no decision, the identity of `merge`."""
        nothing = Moments.empty()
        capitals = {name: GridCapital.empty(STAKES.size) for name in _CAPITALS}
        return cls(plan.digest, 0, {}, 0, 0, nothing, nothing, nothing, nothing, nothing, capitals)

    def merge(self, *others: "LoggedEvidence") -> "LoggedEvidence":
        """Return the evidence of all together, the same bytes in any order.

        Raises:
            EvidenceMismatch: one of them was folded under another plan.
        """
        return reduce(_merged, others, self)

    def to_json(self) -> bytes:
        """Return the canonical JSON."""
        return canonical_json(msgspec.to_builtins(self))


_CAPITALS = ("value", "missed", "better", "worse", "heavy", "light")


def fold_logged(table: pa.Table, plan: LoggedPlan) -> LoggedEvidence:
    """Return the evidence of logged decisions under a plan.

    Columns, float64: `propensity` of the logged action when it was logged, `target`: the chance that the
    other policy takes it, `reward`. Optional: `unsupported`, the other policy's chance of actions that the
    log could not take there; `predicted_logged` and `predicted_target`, a model's reward of the logged
    action and of the other policy, fitted on *other* decisions.

    Raises:
        ColumnsError: a column is absent or not a float, or a reward lies outside its bounds.

    >>> fold_logged(pa.table({"propensity": [0.0], "target": [1.0], "reward": [1.0]}),
    ...             LoggedPlan(weight_max=10.0, clip=5.0)).reasons
    {'propensity_invalid': 1}
    """
    propensity, target, reward = (_floats(table, name) for name in _NEEDED)
    reasons: dict[str, int] = {}
    usable = np.ones(table.num_rows, dtype=np.bool_)
    for name, bad in (
        ("propensity_invalid", ~((propensity > 0.0) & (propensity <= 1.0))),
        ("target_invalid", ~((target >= 0.0) & (target <= 1.0))),
        ("reward_missing", ~np.isfinite(reward)),
    ):
        count = int(np.count_nonzero(usable & bad))
        if count:
            reasons[name] = count
            usable &= ~bad
    weight = target[usable] / propensity[usable]
    over = weight > plan.weight_max
    if over.any():
        reasons["weight_beyond_maximum"] = int(np.count_nonzero(over))
        usable[usable] = ~over
        weight = weight[~over]
    return _folded(table, plan, usable, weight, (reward[usable] - plan.low) / (plan.high - plan.low), reasons)


def _folded(
    table: pa.Table, plan: LoggedPlan, usable: Any, weight: Floats, reward: Floats, reasons: dict[str, int]
) -> LoggedEvidence:
    beyond = int(np.count_nonzero((reward < 0.0) | (reward > 1.0)))
    if beyond:
        raise ColumnsError(
            "reward",
            f"outside its bounds in {beyond} rows",
            f"from {plan.low!r} to {plan.high!r}",
            "Widen them.",
        )
    w, gain = to_fixed(weight, SCALE), to_fixed(weight * reward, SCALE)
    doubly, switched = _modelled(table, plan, usable, weight, reward)
    unsupported = 0
    if "unsupported" in table.column_names:
        unsupported = int(np.count_nonzero(_floats(table, "unsupported") > 0.0))
    return LoggedEvidence(
        plan=plan.digest,
        rows=table.num_rows,
        reasons=reasons,
        unsupported=unsupported,
        largest=int(w.max(initial=0)),
        weights=Moments.of(w),
        rewards=Moments.of(to_fixed(reward, SCALE)),
        gains=Moments.of(gain),
        doubly=doubly,
        switched=switched,
        capitals=_capitals(weight, reward, plan),
    )


def _capitals(weight: Floats, reward: Floats, plan: LoggedPlan) -> dict[str, GridCapital]:
    cut = np.minimum(weight, plan.clip)
    values = {
        "value": cut * reward,
        "missed": cut * (1.0 - reward),
        "better": 1.0 + (cut - 1.0) * reward,
        "worse": 1.0 + (cut - 1.0) * (1.0 - reward),
        "heavy": weight,
        "light": (plan.weight_max - weight) / (plan.weight_max - 1.0),
    }
    return {name: GridCapital.of(value, STAKES) for name, value in values.items()}


def _modelled(
    table: pa.Table, plan: LoggedPlan, usable: Any, weight: Floats, reward: Floats
) -> tuple[Moments, Moments]:
    """Return the moments of the doubly robust value and of SWITCH, none without predictions.

    q(x) + w (r - q(x, a)); SWITCH drops the correction where the weight is beyond the clip.
    """
    if not all(name in table.column_names for name in _MODELLED):
        return Moments.empty(), Moments.empty()
    logged, other = (
        np.clip((_floats(table, name)[usable] - plan.low) / (plan.high - plan.low), 0.0, 1.0)
        for name in _MODELLED
    )
    known = np.isfinite(logged) & np.isfinite(other)
    logged, other = logged[known], other[known]
    correction = weight[known] * (reward[known] - logged)
    kept = np.where(weight[known] <= plan.clip, correction, 0.0)
    return _moments(other + correction), _moments(other + kept)


def _moments(values: Floats) -> Moments:
    fixed: Ints = to_fixed(values, SCALE)
    return Moments.of(fixed)


def _floats(table: pa.Table, name: str) -> Floats:
    if name not in table.column_names or not pa.types.is_floating(table.schema.field(name).type):
        found = str(table.schema.field(name).type) if name in table.column_names else "absent"
        raise ColumnsError(name, found, "a column of float64", "Hand over logged decisions.")
    values: Floats = table.column(name).cast(pa.float64()).to_numpy()
    return values


def _merged(a: LoggedEvidence, b: LoggedEvidence) -> LoggedEvidence:
    if a.plan != b.plan:
        raise EvidenceMismatch("the plan", b.plan, a.plan)
    names = sorted(a.reasons.keys() | b.reasons.keys())
    return LoggedEvidence(
        plan=a.plan,
        rows=a.rows + b.rows,
        reasons={name: a.reasons.get(name, 0) + b.reasons.get(name, 0) for name in names},
        unsupported=a.unsupported + b.unsupported,
        largest=max(a.largest, b.largest),
        weights=a.weights.merge(b.weights),
        rewards=a.rewards.merge(b.rewards),
        gains=a.gains.merge(b.gains),
        doubly=a.doubly.merge(b.doubly),
        switched=a.switched.merge(b.switched),
        capitals={name: each.merge(b.capitals[name]) for name, each in a.capitals.items()},
    )
