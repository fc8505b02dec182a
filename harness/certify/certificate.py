"""The certificate of a plan: its error rates, power and time to a verdict under assumed worlds."""

import math
from typing import Literal

import msgspec
import numpy as np

from harness.certify.scenarios import Truth, step_of, truths
from harness.certify.simulate import Counts, Runs, cells_of, decided, naive, units_per_look
from harness.certify.worlds import Assumed, World, world
from harness.errors import UsageError
from policies.plan import Plan, UnitPlan

CHUNK = 500
_SIGMAS = 3.0


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the runs under one truth.

    `promoted`, `rejected` and `held` are shares of runs. `wrong` is the share that did what is wrong there,
    to hold `limit` within three standard errors of the runs; `naive` is the share in which a paired z at
    every look would have promoted. `decisions` is the mean number recorded until the verdict, all of them
    where there is none; `looks` the median look of a verdict. `by_look` is the share promoted by each look.
    """

    truth: str
    promoted: float
    rejected: float
    held: float
    wrong_is: Literal["PROMOTE", "REJECT"] | None
    right_is: Literal["PROMOTE", "REJECT"] | None
    wrong: float | None
    limit: float | None
    tolerance: float
    naive: float
    holds: bool | None
    decisions: float
    looks: int | None
    by_look: tuple[float, ...]
    naive_by_look: tuple[float, ...]


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, what was assumed, and what became of it. `invalid` says why no look could be read, if so."""

    policy: str
    plan: str
    alpha: float
    unit: str
    metrics: tuple[str, ...]
    assumed: Assumed
    looks: int
    units_per_look: int
    tried: tuple[Tried, ...]
    invalid: str | None

    @property
    def holds(self) -> bool:
        """Return whether every error rate holds its limit."""
        return all(each.holds is not False for each in self.tried)


def certify(plan: Plan, assumed: Assumed) -> Certificate:
    """Return the certificate. The same plan, assumptions and seed give the same figures.

    Raises:
        UsageError: the plan's margins or effects cannot occur under what is assumed, or its outcomes are not
            seen under both models.
    """
    _check_identified(plan)
    looks = min(assumed.looks, plan.policy.max_looks)
    invalid = _invalid(plan, assumed)
    # Where requests repeat their unit the plan is refused; the naive test is then shown over those units.
    read = msgspec.structs.replace(plan, unit=UnitPlan(kind="column")) if invalid else plan
    tried = tuple(
        _try(read, assumed, truth, looks=looks, place=place, invalid=invalid is not None)
        for place, truth in enumerate(truths(plan, assumed))
    )
    return Certificate(
        policy=plan.policy.name,
        plan=plan.digest,
        alpha=plan.policy.alpha,
        unit=plan.unit.kind,
        metrics=tuple(f"{metric.name} ({metric.role})" for metric in plan.gating),
        assumed=assumed,
        looks=looks,
        units_per_look=units_per_look(plan, assumed),
        tried=tried,
        invalid=invalid,
    )


def _check_identified(plan: Plan) -> None:
    hidden = [metric for metric in plan.gating if metric.identification != "direct"]
    if hidden:
        names = ", ".join(f"{metric.name} ({metric.identification})" for metric in hidden)
        raise UsageError(
            f"The simulation cannot know what hides outcomes or how actions are explored: {names}.",
            'Expected metrics with identification = "direct" alone.',
            "See the off-policy ends among the procedures of harness policy certify --shipped.",
        )


def _invalid(plan: Plan, assumed: Assumed) -> str | None:
    repeats = 1.0 - 1.0 / assumed.cluster
    if plan.unit.kind != "request" or repeats <= plan.policy.max_repeats:
        return None
    return (
        f"{repeats:.3g} of decisions would repeat a unit, more than {plan.policy.max_repeats:.3g}: every "
        'look is INVALID. Register unit kind = "column" or "day".'
    )


def _try(plan: Plan, assumed: Assumed, truth: Truth, *, looks: int, place: int, invalid: bool) -> Tried:
    worlds = {
        metric.name: world(
            truth.means[metric.name],
            assumed,
            clip=plan.clip(metric.name),
            step=step_of(metric, plan, assumed),
            kind="rare" if truth.rare and metric.name == truth.subject else "usual",
        )
        for metric in plan.gating
    }
    parts = [
        _chunk(plan, assumed, truth, worlds, (looks, min(CHUNK, assumed.runs - start)), [place, start])
        for start in range(0, assumed.runs, CHUNK)
    ]
    runs = Runs(*(np.concatenate(each) for each in zip(*(part[0] for part in parts), strict=True)))
    fooled = np.concatenate([part[1] for part in parts])
    if invalid:
        runs = Runs(np.zeros_like(fooled), np.zeros_like(fooled))
    return _tried(plan, assumed, truth, runs, fooled, looks)


def _chunk(
    plan: Plan,
    assumed: Assumed,
    truth: Truth,
    worlds: dict[str, World],
    size: tuple[int, int],
    seed: list[int],
) -> tuple[Runs, Counts]:
    """Return where some runs are decided, and where the naive test would have promoted them."""
    looks, runs = size
    rng = np.random.default_rng([assumed.seed, *seed])
    units = units_per_look(plan, assumed)
    seen = {
        name: (chosen, _delayed(cells_of(chosen, units, looks, runs, rng), assumed.delay))
        for name, chosen in worlds.items()
    }
    subject = seen[truth.subject]
    return decided(plan, seen, assumed), naive(plan, plan.metric(truth.subject), *subject, assumed)


def _delayed(counts: Counts, delay: int) -> Counts:
    """Return the counts as they are known when each decision matures `delay` looks after it was made."""
    if not delay:
        return counts
    return np.concatenate([np.zeros_like(counts[:, :delay]), counts[:, : counts.shape[1] - delay]], axis=1)


def _tried(plan: Plan, assumed: Assumed, truth: Truth, runs: Runs, fooled: Counts, looks: int) -> Tried:
    promoted, rejected = float((runs.promoted > 0).mean()), float((runs.rejected > 0).mean())
    ends = np.maximum(runs.promoted, runs.rejected)
    wrong = {"PROMOTE": promoted, "REJECT": rejected, None: None}[truth.wrong]
    limit = None if truth.wrong is None else plan.policy.alpha
    if truth.wrong == "REJECT":  # each hypothesis of harm has its own alpha (docs/adr/0008)
        limit = min(1.0, plan.policy.alpha * sum("harm" in metric.hypotheses for metric in plan.gating))
    spread = 0.0 if limit is None else _SIGMAS * math.sqrt(limit * (1.0 - limit) / assumed.runs)
    return Tried(
        truth=truth.name,
        promoted=promoted,
        rejected=rejected,
        held=max(0.0, 1.0 - promoted - rejected),
        wrong_is=truth.wrong,
        right_is=truth.right,
        wrong=wrong,
        limit=limit,
        tolerance=round(spread, 6),
        naive=float((fooled > 0).mean()),
        holds=None if wrong is None or limit is None else wrong <= limit + spread,
        decisions=float(np.where(ends > 0, ends, looks).mean()) * assumed.per_look,
        looks=int(np.median(ends[ends > 0])) if (ends > 0).any() else None,
        by_look=_by_look(runs.promoted, looks),
        naive_by_look=_by_look(fooled, looks),
    )


def _by_look(ends: Counts, looks: int) -> tuple[float, ...]:
    """Return the share of runs that had ended by each look."""
    counts = np.bincount(ends, minlength=looks + 1)[1 : looks + 1]
    return tuple((np.cumsum(counts) / ends.size).tolist())
