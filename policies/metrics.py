"""Metrics as values: what a decision is worth under each model, from columns, without rows.

A metric gives two arrays, the value of the champion's and of the challenger's answer. The paired
difference is oriented afterwards (policies/fold.py), so that larger always means: challenger better.
"""

import math
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from policies.columns import Columns, Floats, Mask, Side
from policies.errors import PlanError
from policies.groups import GROUPED
from policies.options import Options
from policies.own import Own
from policies.payoffs import (
    by_cell,
    check_payoff,
    pinball,
    profit,
    profit_limit,
    profit_low,
    ratio,
    ratio_limit,
    ratio_low,
)
from policies.serving import SERVING
from policies.usable import Reasons, Values, usable_rows


class Metric(Protocol):
    """A metric: its direction, its largest value, and the values of both models over columns."""

    @property
    def direction(self) -> Literal["lower", "higher"]:
        """Which values are better."""

    @property
    def ternary(self) -> bool:
        """Whether a paired difference is -1, 0 or 1 and nothing else."""

    def check(self, options: Options) -> None:
        """Raise PlanError when the plan leaves out what the metric needs."""

    def limit(self, options: Options) -> float:
        """Return the largest value, which is also the widest paired difference."""

    def lowest(self, options: Options) -> float:
        """Return the smallest value; the largest is it plus the limit."""

    def columns(self, options: Options) -> tuple[str, ...]:
        """Return the columns that it reads beside scores, decisions and label."""

    def values(self, columns: Columns, options: Options) -> Values:
        """Return the values of both models, with what cannot be used counted by reason."""


class Loss(msgspec.Struct, frozen=True):
    """A metric that each model has on its own: `value(answer, label)`, over rows where both are usable.

    `answer` is the score, or 1 and 0 for a positive and another decision where `decides` is set.
    `binary` demands labels 0 and 1. `probability` demands scores from 0 to 1. `ternary` says that a
    difference is -1, 0 or 1 and nothing else. Without `answered` no answer is read: the value is
    that of the outcome.
    """

    direction: Literal["lower", "higher"]
    value: Callable[[Floats, Floats, Options], Floats]
    limit_of: Callable[[Options], float]
    needs: tuple[str, ...] = ()
    binary: bool = True
    decides: bool = False
    probability: bool = False
    ternary: bool = False
    answered: bool = True
    lowest_of: Callable[[Options], float] = lambda _: 0.0

    def check(self, options: Options) -> None:
        """Refuse a plan that leaves out what this metric needs.

        Raises:
            PlanError: what `needs` names, or what makes a score a decision, is missing or out of range.
        """
        for key in self.needs:
            if getattr(options, key) in (None, UNSET):
                raise PlanError(
                    f"metrics.{key}", None, "a declared value: this metric needs one", "Declare it."
                )
        if self.decides and options.threshold is None and options.positive_decision is None:
            raise PlanError(
                "metrics.threshold", None, "a threshold or a positive_decision", "Declare one of them."
            )
        if not 0.0 < options.epsilon < 0.5:  # noqa: PLR2004  # beyond one half the clip would swap the classes
            raise PlanError("metrics.epsilon", options.epsilon, "above 0 and below 0.5", "Use 1e-6.")
        if options.cost is not None and not all(0.0 <= c < math.inf for c in options.cost):
            raise PlanError(
                "metrics.cost", options.cost, "four finite costs of at least 0", "Add a constant to all."
            )
        check_payoff(options)

    def limit(self, options: Options) -> float:
        """Return the largest value, which is also the widest paired difference."""
        return self.limit_of(options)

    def lowest(self, options: Options) -> float:
        """Return the smallest value."""
        return self.lowest_of(options)

    def columns(self, options: Options) -> tuple[str, ...]:  # noqa: ARG002  # the protocol's signature
        """Return nothing: scores, decisions and label are always there."""
        return ()

    def values(self, columns: Columns, options: Options) -> Values:
        """Return the values of both models; what cannot be used is counted by its first reason."""
        sides = {"champion": columns.champion, "challenger": columns.challenger}
        given = {name: self._answer(side, options) for name, side in sides.items()} if self.answered else {}
        reasons = usable_rows(columns, given, binary=self.binary, probability=self.probability)
        answers = [answer for answer, _ in given.values()] or [columns.label] * 2
        label, whole = columns.label, not reasons.counts
        # Rows that are left out may hold NaN: they get a harmless value, so that no warning is raised.
        label, *answers = (x if whole else np.where(reasons.usable, x, 0.0) for x in (label, *answers))
        with np.errstate(over="ignore"):  # infinity is beyond every bound, and told so
            champion, challenger = (self.value(answer, label, options) for answer in answers)
        return Values(champion, challenger, reasons.usable, reasons.counts)

    def _answer(self, side: Side, options: Options) -> tuple[Floats, Mask]:
        if not self.decides:
            return side.score, side.score_missing
        if options.positive_decision is not None:
            return side.decided(options.positive_decision).astype(np.float64), side.decision_missing
        positive = side.score >= (options.threshold or 0.0)
        return np.where(np.isfinite(side.score), positive, side.score), side.score_missing


class Shared(msgspec.Struct, frozen=True):
    """A metric of the pair itself, as context: 0 for the champion, 1 where `happens` for the challenger."""

    happens: Callable[[Columns, Options], tuple[Mask, Mask]]
    direction: Literal["lower", "higher"] = "lower"
    ternary: bool = True

    def check(self, options: Options) -> None:
        """Accept every plan: nothing needs to be declared."""

    def limit(self, options: Options) -> float:  # noqa: ARG002  # the protocol's signature
        """Return 1: it happens or it does not."""
        return 1.0

    def lowest(self, options: Options) -> float:  # noqa: ARG002  # the protocol's signature
        """Return 0."""
        return 0.0

    def columns(self, options: Options) -> tuple[str, ...]:  # noqa: ARG002  # the protocol's signature
        """Return nothing: scores, decisions and label are always there."""
        return ()

    def values(self, columns: Columns, options: Options) -> Values:
        """Return 0 and 1 per decision; decisions where it cannot be told are counted."""
        happened, unknown = self.happens(columns, options)
        reasons = Reasons(columns.rows)
        reasons.leave("not_compared", unknown)
        return Values(np.zeros(columns.rows), happened.astype(np.float64), reasons.usable, reasons.counts)


def _log_loss(probability: Floats, label: Floats, options: Options) -> Floats:
    kept: npt.NDArray[np.float64] = np.clip(probability, options.epsilon, 1.0 - options.epsilon)
    return -np.log(np.where(label == 1.0, kept, 1.0 - kept))


def _cost(positive: Floats, label: Floats, options: Options) -> Floats:
    assert options.cost is not None  # `needs` was checked when the plan was made
    return by_cell(positive, label, options.cost)


def _flips(columns: Columns, options: Options) -> tuple[Mask, Mask]:
    live, other = columns.champion, columns.challenger
    if options.threshold is not None and options.positive_decision is None:
        unknown = ~(np.isfinite(live.score) & np.isfinite(other.score))
        return (live.score >= options.threshold) != (other.score >= options.threshold), unknown
    return columns.decisions_differ, live.decision_missing | other.decision_missing


def _failed(columns: Columns, options: Options) -> tuple[Mask, Mask]:
    del options
    side = columns.challenger
    return side.score_missing & side.decision_missing, np.zeros(columns.rows, dtype=np.bool_)


OUTCOME = "outcome"
_OUTCOME = Loss(
    "higher", lambda _, y, __: y, lambda o: o.bound or 1.0, needs=("bound",), binary=False, answered=False
)
_COSTLY = msgspec.structs.replace(_OUTCOME, direction="lower")
METRICS: dict[str, Metric] = {
    "brier": Loss("lower", lambda p, y, _: (p - y) ** 2, lambda _: 1.0, probability=True),
    "accuracy": Loss(
        "higher", lambda d, y, _: (d == y).astype(np.float64), lambda _: 1.0, decides=True, ternary=True
    ),
    "log_loss": Loss("lower", _log_loss, lambda o: -math.log(o.epsilon), probability=True),
    "absolute_error": Loss(
        "lower", lambda s, y, _: np.abs(s - y), lambda o: o.bound or 1.0, needs=("bound",), binary=False
    ),
    "squared_error": Loss(
        "lower", lambda s, y, _: (s - y) ** 2, lambda o: o.bound or 1.0, needs=("bound",), binary=False
    ),
    "cost": Loss("lower", _cost, lambda o: max(o.cost or (1.0,)), needs=("cost",), decides=True),
    "profit": Loss("higher", profit, profit_limit, needs=("gain",), decides=True, lowest_of=profit_low),
    "ratio": Loss(
        "higher",
        ratio,
        ratio_limit,
        needs=("gain", "per", "reference"),
        decides=True,
        lowest_of=ratio_low,
    ),
    OUTCOME: _OUTCOME,
    "pinball": Loss("lower", pinball, lambda o: o.bound or 1.0, needs=("bound", "quantile"), binary=False),
    "decision_rate": Loss(
        "lower", lambda d, _, __: d, lambda _: 1.0, binary=False, decides=True, ternary=True
    ),
    "flips": Shared(_flips),
    "failed": Shared(_failed),
    **GROUPED,
    **SERVING,
}
OWN = "py:"


def metric_kind(name: str, direction: Literal["lower", "higher", ""] = "") -> Metric | None:
    """Return the metric of that name, None where there is none; a user's own has the declared direction."""
    if name.startswith(OWN):
        return Own(name, direction or "higher")
    return _COSTLY if name == OUTCOME and direction == "lower" else METRICS.get(name)
