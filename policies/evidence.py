"""Evidence: what a look knows, as integers and sums, without rows."""

from functools import reduce
from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from policies.accumulators import Count, Moments, TernaryCounts
from policies.errors import ColumnsError, EvidenceMismatch
from policies.gram import Gram
from policies.logged import LoggedEvidence
from policies.plan import Plan
from policies.rank_sums import RankSums
from policies.spread import Spread
from policies.units import PerUnit, RepeatSketch
from recorders.canonical import canonical_json, digest

FORMAT = 1
_Part = TypeVar("_Part", LoggedEvidence, "Unseen", Gram, Spread, RankSums)


class Unseen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Decisions whose difference is not known, since what was decided blocks the outcome; by unit too."""

    count: int
    units: PerUnit

    def merge(self, other: "Unseen") -> "Unseen":
        """Return those of both samples together."""
        return Unseen(self.count + other.count, self.units.merge(other.units))


class MetricEvidence(msgspec.Struct, frozen=True):
    """The sums of one metric. Every row handed in is used or has a reason: rows = used + sum(reasons).

    `champion` and `challenger` are the fixed-point totals over the used decisions. Under unit `request`,
    `moments` (and `ternary`) hold the clipped paired difference per decision; else `units` holds the sums
    per unit, and `whole` is set where each unit was folded as a whole. `outside` counts decisions with a
    value beyond the bounds, `clipped` decisions whose difference was cut to the clip. `logged` holds all sums
    of a metric that is seen for the logged action alone, `unseen` counts what a metric of blocked outcomes
    uses without a difference, `gram` has the covariates, `spread` both models' values for their quantiles,
    `ranks` what DeLong's test needs of each group.
    """

    rows: Count
    used: Count
    reasons: dict[str, Count]
    outside: Count
    clipped: Count
    champion: int
    challenger: int
    moments: Moments
    ternary: TernaryCounts
    units: PerUnit
    whole: bool | UnsetType = UNSET
    logged: LoggedEvidence | UnsetType = UNSET
    unseen: Unseen | UnsetType = UNSET
    gram: Gram | UnsetType = UNSET
    spread: Spread | UnsetType = UNSET
    ranks: RankSums | UnsetType = UNSET

    @classmethod
    def empty(cls) -> "MetricEvidence":
        """Return the evidence of no decision."""
        return cls(0, 0, {}, 0, 0, 0, 0, Moments.empty(), TernaryCounts.empty(), PerUnit.empty())

    def merge(self, other: "MetricEvidence") -> "MetricEvidence":
        """Return the evidence of both samples together.

        Raises:
            ColumnsError: a group comes in two parts; its value is not the mean of theirs.
        """
        whole = UNSET if self.whole is UNSET and other.whole is UNSET else True
        if whole and np.isin(self.units.keys, other.units.keys).any():
            twice = int(np.intersect1d(self.units.keys, other.units.keys)[0])
            raise ColumnsError(
                "unit", f"in two parts, for instance {twice}", "each group whole and once", "Fold it whole."
            )
        names = sorted(self.reasons.keys() | other.reasons.keys())
        return MetricEvidence(
            rows=self.rows + other.rows,
            used=self.used + other.used,
            reasons={name: self.reasons.get(name, 0) + other.reasons.get(name, 0) for name in names},
            outside=self.outside + other.outside,
            clipped=self.clipped + other.clipped,
            champion=self.champion + other.champion,
            challenger=self.challenger + other.challenger,
            moments=self.moments.merge(other.moments),
            ternary=self.ternary.merge(other.ternary),
            units=self.units.merge(other.units),
            whole=whole,
            logged=_both(self.logged, other.logged),
            unseen=_both(self.unseen, other.unseen),
            gram=_both(self.gram, other.gram),
            spread=_both(self.spread, other.spread),
            ranks=_both(self.ranks, other.ranks),
        )


def _both(a: _Part | UnsetType, b: _Part | UnsetType) -> _Part | UnsetType:
    """Return both parts together; what is unset is the identity."""
    if isinstance(a, UnsetType) or isinstance(b, UnsetType):
        return b if isinstance(a, UnsetType) else a
    return a.merge(b)


class Evidence(msgspec.Struct, frozen=True):
    """The evidence of one plan: a commutative monoid under `merge`, byte for byte.

    `plan` is the digest of the plan; `repeats` tells how often units repeat where the unit is `request`.
    """

    plan: str
    scale: int
    rows: Count
    metrics: dict[str, MetricEvidence]
    repeats: RepeatSketch

    @classmethod
    def empty(cls, plan: Plan) -> "Evidence":
        """Return the evidence of nothing, the identity of `merge`."""
        nothing = {metric.name: MetricEvidence.empty() for metric in plan.metrics}
        return cls(plan.digest, plan.scale, 0, nothing, RepeatSketch.empty())

    def merge(self, *others: "Evidence") -> "Evidence":
        """Return the evidence of all of them together.

        Raises:
            EvidenceMismatch: one of them was folded under another plan or scale.
        """
        sums = reduce(_merged, others, self)
        # Of many at once: one after the other, each would be put into order with all before it.
        repeats = self.repeats.merge(*(other.repeats for other in others))
        return msgspec.structs.replace(sums, repeats=repeats)

    def to_json(self) -> bytes:
        """Return the canonical JSON that a look keeps."""
        data = msgspec.to_builtins(self, enc_hook=_plain, str_keys=True)
        return canonical_json({"format": FORMAT, **data})

    def check(self, plan: Plan) -> None:
        """Refuse to be read under another plan than the one it was folded under.

        Raises:
            EvidenceMismatch: plan or scale are others, or a metric is not there.
        """
        for what, found, wanted in (("plan", self.plan, plan.digest), ("scale", self.scale, plan.scale)):
            if found != wanted:
                raise EvidenceMismatch(f"the {what}", found, wanted)
        wanted_metrics = [metric.name for metric in plan.metrics]
        if not self.metrics.keys() >= set(wanted_metrics):
            raise EvidenceMismatch("the metrics", sorted(self.metrics), sorted(wanted_metrics))

    @classmethod
    def from_json(cls, data: bytes | str) -> "Evidence":
        """Return the evidence that `to_json` wrote.

        Raises:
            EvidenceMismatch: it was written in another format, or it is no evidence.
        """
        try:
            raw = msgspec.json.decode(data, type=dict[str, Any])
            found = raw.pop("format", None)
            if found != FORMAT:
                raise EvidenceMismatch("format", found, FORMAT)
            return msgspec.convert(raw, cls, dec_hook=_rich, str_keys=True)
        except (msgspec.DecodeError, KeyError, OverflowError) as error:
            raise EvidenceMismatch("the content", str(error), "what a look has kept") from error

    @property
    def digest(self) -> str:
        """Return the digest of the canonical JSON: 64 hex digits."""
        return digest(self.to_json())


def _merged(a: Evidence, b: Evidence) -> Evidence:
    """Return what both say together, but for the repeats: they are those of `a`."""
    if a.plan != b.plan:
        raise EvidenceMismatch("the plan", b.plan, a.plan)
    if a.scale != b.scale:
        raise EvidenceMismatch("the scale", b.scale, a.scale)
    if a.metrics.keys() != b.metrics.keys():
        raise EvidenceMismatch("the metrics", sorted(b.metrics), sorted(a.metrics))
    metrics = {name: each.merge(b.metrics[name]) for name, each in a.metrics.items()}
    return Evidence(a.plan, a.scale, a.rows + b.rows, metrics, a.repeats)


def _plain(value: Any) -> Any:
    assert isinstance(value, PerUnit)  # the only field that msgspec does not know
    return value.to_builtins()


def _rich(kind: type, value: Any) -> Any:
    assert kind is PerUnit
    return PerUnit.from_builtins(value)
