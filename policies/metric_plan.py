"""One metric as registered: what is measured, which way is better, and what it must show."""

import math
from difflib import get_close_matches
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from policies.checks import positive, refuse
from policies.errors import PlanError
from policies.metrics import METRICS, OUTCOME, OWN, Loss, Metric, metric_kind
from policies.options import Cells, declared
from policies.own import own_columns
from policies.rules import Alternative, Hypothesis, Role
from policies.serving import ERRORS

COVARIATES_MAX = 8
COVARIATE_LARGEST = 2.0**19


class MetricPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One metric as registered. Values are losses or gains per decision, in the metric's own unit.

    `clip` bounds the paired difference of one *unit* (a decision, a user, a day) to [-clip, clip]; None
    means the widest difference that the metric's bounds allow. `margin` is how much worse the challenger
    may be. `bound` is the largest value of an unbounded metric, `epsilon` where probabilities stop in
    log_loss. A score of at least `threshold` counts as positive, unless `positive_decision` names the
    decision that does. `cost` is what a (true positive, false positive, false negative, true negative)
    costs; `gain` and `per` are over the same four cells, for profit and for ratio, which is to beat
    `reference` (policies/payoffs.py); `quantile` is that of pinball. `outside` says what happens to a value
    beyond the bounds: it is counted either way. `prior` is the spread of differences that were plausible
    before the data; it asks for a posterior, which is shown and never gates (policies/belief.py).
    `slo_us` is the objective of latency_over, and of `ask_every` decisions its challenger is asked one
    alone (ADR 93); `k`, `bins` and `least` are of metrics of whole groups (policies/groups.py).
    `features` are those that a user's own function reads, and `source` is the digest of its source,
    filled in when the file is read. `weight_max` is the largest weight that exploration allows, with
    which `logged_action` is estimated; `weight_clip` cuts weights in the sequences, `reward_model`
    predicts rewards (policies/logged_metric.py). `blocked_decision` is what hides the outcome of a
    `blocked` metric, `effect` the difference that exploration should show. `covariates` are features that
    the difference is adjusted for at `covariate_means`, sharpest at `planned_units`
    (policies/adjusted.py). `discordant_pairs` asks for the sequential McNemar test, sharpest at so many.
    `planned_variance` of a unit's difference asks for the figures beside (policies/beside.py), `planned`
    for tests that are right where their looks were planned (policies/alternatives.py), `quantiles` for
    sequences of both models' values (policies/spread.py).
    Empty `direction` and `hypotheses` are filled in by the catalogue, so the canonical form shows them.
    """

    name: str
    role: Role = "primary"
    direction: Literal["lower", "higher", ""] = ""
    identification: Literal["direct", "logged_action", "blocked"] = "direct"
    clip: float | None = None
    margin: float | None = None
    hypotheses: tuple[Hypothesis, ...] = ()
    threshold: float | None = None
    positive_decision: str | None = None
    bound: float | None = None
    epsilon: float = 1e-6
    cost: tuple[float, float, float, float] | None = None
    outside: Literal["clip", "refuse"] = "clip"
    # Options that came later are unset and not null, so that the plans before them keep their digests.
    gain: Cells | UnsetType = UNSET
    per: Cells | UnsetType = UNSET
    reference: float | UnsetType = UNSET
    quantile: float | UnsetType = UNSET
    prior: float | UnsetType = UNSET
    slo_us: int | UnsetType = UNSET
    k: int | UnsetType = UNSET
    bins: int | UnsetType = UNSET
    least: int | UnsetType = UNSET
    features: tuple[str, ...] | UnsetType = UNSET
    source: str | UnsetType = UNSET
    weight_max: float | UnsetType = UNSET
    weight_clip: float | UnsetType = UNSET
    reward_model: str | UnsetType = UNSET
    blocked_decision: str | UnsetType = UNSET
    effect: float | UnsetType = UNSET
    covariates: tuple[str, ...] | UnsetType = UNSET
    covariate_means: tuple[float, ...] | UnsetType = UNSET
    planned_units: int | UnsetType = UNSET
    discordant_pairs: int | UnsetType = UNSET
    planned_variance: float | UnsetType = UNSET
    planned: tuple[Alternative, ...] | UnsetType = UNSET
    quantiles: tuple[float, ...] | UnsetType = UNSET
    ask_every: int | UnsetType = UNSET

    def __post_init__(self) -> None:
        kind = metric_kind(self.name, self.direction)
        if kind is None:
            near = get_close_matches(self.name, METRICS, n=1)
            hint = f'The nearest known name is "{near[0]}".' if near else "Use one of these."
            known = f"one of {', '.join(sorted(METRICS))}, or py:module:function"
            raise PlanError("metrics.name", self.name, known, hint)
        self._orient(kind)
        positive(f"metrics.{self.name}", clip=self.clip, margin=self.margin, bound=self.bound)
        if self.prior is not UNSET:
            positive(f"metrics.{self.name}", prior=self.prior)
        if self.threshold is not None and not math.isfinite(self.threshold):
            refuse(f"metrics.{self.name}.threshold", self.threshold, "a finite score", "Correct it.")
        kind.check(self)
        self._check_identification()
        self._check_reach(kind.limit(self))
        self._check_covariates()

    def _orient(self, kind: Metric) -> None:
        if self.direction == "" and self.name.startswith(OWN):
            refuse(f"metrics.{self.name}.direction", "", "lower or higher", "Declare which way is better.")
        if self.direction == "":
            msgspec.structs.force_setattr(self, "direction", kind.direction)
        if self.direction != kind.direction:
            refuse(f"metrics.{self.name}.direction", self.direction, kind.direction, "Leave it out.")

    def _check_identification(self) -> None:
        if self.name == OUTCOME and self.identification != "logged_action":
            refuse(
                "metrics.outcome.identification",
                self.identification,
                "logged_action: else the same outcome is given to both models",
                "Declare what the outcome depends on.",
            )
        if self.bounded:
            positive(f"metrics.{self.name}", effect=declared(self.effect) or math.nan)
        if self.predictor and self.name.startswith(OWN):
            key = f"metrics.{self.name}.reward_model"
            refuse(key, self.predictor, "one function a metric", "Leave it out.")

    def _check_covariates(self) -> None:
        names, means = declared(self.covariates) or (), declared(self.covariate_means) or ()
        path = f"metrics.{self.name}"
        if len(names) != len(means) or len(set(names)) < len(names) or len(names) > COVARIATES_MAX:
            known = f"a mean for each of at most {COVARIATES_MAX} covariates, each named once"
            refuse(f"{path}.covariate_means", means, known, "Declare what was known before.")
        if not all(abs(mean) <= COVARIATE_LARGEST for mean in means):
            refuse(f"{path}.covariate_means", means, "finite means of at most 2**19", "Rescale the feature.")
        variance = declared(self.planned_variance)
        positive(path, planned_variance=variance)
        if names or variance is not None or declared(self.planned) is not None:
            positive(path, planned_units=declared(self.planned_units) or math.nan)

    def _check_reach(self, widest: float) -> None:
        if self.clip is not None and self.clip > widest:
            refuse(
                f"metrics.{self.name}.clip",
                self.clip,
                f"at most {widest!r}, the widest difference",
                "Lower it.",
            )
        if self.margin is not None and self.margin >= (self.clip or widest):
            refuse(
                f"metrics.{self.name}.margin", self.margin, f"less than {self.clip or widest!r}", "Lower it."
            )

    @property
    def kind(self) -> Metric:
        """Return the metric that the name stands for."""
        kind = metric_kind(self.name, self.direction)
        assert kind is not None  # checked when the plan was made
        return kind

    @property
    def wanted_features(self) -> tuple[str, ...]:
        """Return the names of the features of a decision that the metric reads."""
        return (*(declared(self.features) or ()), *(declared(self.covariates) or ()))

    @property
    def off_policy(self) -> bool:
        """Return whether it is estimated from propensities: `logged_action` with a largest weight."""
        return self.identification == "logged_action" and declared(self.weight_max) is not None

    @property
    def identified(self) -> bool:
        """Return whether the log can tell it."""
        return self.identification == "direct" or self.off_policy or self.bounded

    @property
    def bounded(self) -> bool:
        """Return whether it is bounded whatever is not seen: `blocked` with the decision that blocks."""
        return self.identification == "blocked" and declared(self.blocked_decision) is not None

    @property
    def sampled(self) -> bool:
        """Return whether it is measured of some decisions alone: how many says nothing of what is lacking."""
        return declared(self.ask_every) is not None

    @property
    def decides(self) -> bool:
        """Return whether its value depends on what is decided and not on a score."""
        return isinstance(self.kind, Loss) and self.kind.decides

    @property
    def predictor(self) -> str:
        """Return the user's function that predicts rewards, "" for none."""
        return declared(self.reward_model) or ""

    @property
    def span(self) -> tuple[float, float]:
        """Return the smallest and the largest value of a decision."""
        low = self.kind.lowest(self)
        return low, low + self.kind.limit(self)

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that it reads beside scores, decisions and label."""
        more = self.kind.columns(self)
        if self.sampled:  # what timed out has no score, and counts
            more = (*more, *ERRORS)
        if self.off_policy:
            more = (*more, "propensity", *(own_columns(self.predictor) if self.predictor else ()))
        return more

    @property
    def function(self) -> str:
        """Return the user's function that the metric needs, the metric itself or a predictor; "" for none."""
        return self.name if self.name.startswith(OWN) else self.predictor
