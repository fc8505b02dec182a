"""A/A on an experiment's own looks: a coin for each unit says which answers count as the challenger's.

After the exchange both models are equally good, by construction, with the units and the days that there
were. Where a policy may promote equal models, by a margin, the challenger is made as bad as the margin: in a
share of margin/clip of the units, drawn by chance, it gets the worst difference that there is. The registered
policy then reads looks as often as it did. Whatever it promotes, it promotes wrongly.
"""

import math
from collections.abc import Iterator

import msgspec
import numpy as np

from harness.exchange_looks import Kept, Keys, Turned, exchangeable, kept_looks, turned
from harness.experiments import get_experiment
from harness.log.log import Log
from harness.looks import FINAL, stored_looks
from policies.catalogue import decide
from policies.estimate import UNIT_NOUNS, Look, null_of
from policies.evidence import Evidence
from policies.plan import Plan
from policies.rules import RULES
from policies.sample import sample_of

_SIGMAS = 3.0
_Z = 1.644854  # one-sided 5 %
_FEWEST = 2


class Exchanged(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the runs: shares that the policy promoted or rejected, and the naive test promoted.

    `truth` is the mean difference that each metric was given, in its unit; at 0 both models are equally good.
    `limit` is alpha, held within `tolerance`, three standard errors of the runs.
    """

    experiment: str
    policy: str
    runs: int
    looks: int
    units: int
    unit: str
    truth: dict[str, float]
    promoted: float
    rejected: float
    limit: float
    tolerance: float
    holds: bool
    naive: float


def exchange(log: Log, name: str, *, runs: int, seed: int) -> Exchanged:
    """Return how often a challenger that is not good enough would be promoted at an experiment's looks.

    Raises:
        UsageError: the experiment has no look, or none in which both models can be exchanged.
        LookAltered: a look that is measured again is no longer what the log gives.
    """
    experiment, looks = get_experiment(log, name), stored_looks(log, name)
    plan = exchangeable(name, experiment.plan, looks)
    kept, truth = kept_looks(log, experiment, plan, looks), _truth(plan)
    keys = np.unique(np.concatenate([units.keys for each in kept for units in each.units.values()]))
    states, naive = [], 0
    for how in _drawn(keys, truth, plan, runs, seed):
        mixed = [(each, turned(each, plan, how)) for each in kept]
        states.append(_state(mixed, plan))
        naive += any(_fooled(found, plan, truth) for _, found in mixed)
    alpha, promoted = plan.policy.alpha, states.count("PROMOTE") / runs
    spread = _SIGMAS * math.sqrt(alpha * (1.0 - alpha) / runs)
    return Exchanged(
        experiment=name,
        policy=plan.policy.name,
        runs=runs,
        looks=len(looks),
        units=keys.size,
        unit=UNIT_NOUNS[plan.unit.kind],
        truth=truth,
        promoted=promoted,
        rejected=states.count("REJECT") / runs,
        limit=alpha,
        tolerance=round(spread, 6),
        holds=promoted <= alpha + spread,
        naive=naive / runs,
    )


def _truth(plan: Plan) -> dict[str, float]:
    """Return the difference that each metric is given: such that promoting is wrong, and only just.

    Where all must be shown the first primary stands at its null, and the others are equal, which is what
    guardrails ask for. Where one is enough each of them stands at its null.
    """
    first = next(metric for metric in plan.gating if metric.role == "primary")
    at_null = {metric.name for metric in plan.combined} or {first.name}
    rule = RULES[plan.policy.name]
    return {
        each.name: null_of(rule.hypotheses(each.role)[0], each.margin or 0.0) if each.name in at_null else 0.0
        for each in plan.gating
    }


def _drawn(keys: Keys, truth: dict[str, float], plan: Plan, runs: int, seed: int) -> Iterator[Turned]:
    """Yield what chance says of each unit: a fair coin, and as often as the truth wants an extreme."""
    rng = np.random.default_rng(seed)
    for _ in range(runs):
        exchanged = keys[rng.random(keys.size) < 0.5]  # noqa: PLR2004  # a fair one
        extreme = {
            name: (int(math.copysign(1, mean)), keys[rng.random(keys.size) < abs(mean) / plan.clip(name)])
            for name, mean in truth.items()
            if mean
        }
        yield Turned(exchanged, extreme)


def _state(looks: list[tuple[Kept, Evidence]], plan: Plan) -> str:
    """Return the first final state, as looks would have been taken until then; else the last."""
    previous: list[Look] = []
    state = "HOLD"
    for number, (kept, evidence) in enumerate(looks, 1):
        verdict = decide(evidence, plan, integrity=kept.taken.look.integrity, previous=previous)
        previous.append(Look.of(number, verdict.estimates))
        state = verdict.state
        if state in FINAL:
            break
    return state


def _fooled(evidence: Evidence, plan: Plan, truth: dict[str, float]) -> bool:
    """Return whether a paired z over units, read as if this look were the only one, would promote."""
    metric = next(each for each in plan.gating if each.role == "primary")
    found = sample_of(evidence.metrics[metric.name], metric, plan).moments
    deviation = found.count * found.squares - found.total**2
    if found.count < _FEWEST or not deviation:
        return False
    error = math.sqrt(deviation / found.count**2 / (found.count - 1))
    return found.total / found.count - truth[metric.name] * plan.scale >= _Z * error


def exchanged_text(found: Exchanged) -> str:
    """Return the answer for a terminal."""
    done = f"champion and challenger exchanged by a coin in each of {found.units:,} {found.unit}"
    made = [
        f"{'worse' if mean < 0.0 else 'better'} by {abs(mean):g} on {name}"
        for name, mean in found.truth.items()
        if mean
    ]
    told = f"the challenger is made {' and '.join(made)}, no more" if made else "both are equally good"
    said = f"{'holds' if found.holds else 'FAILS'}: at most {found.limit:g} + {found.tolerance:.3f}"
    lines = [
        f"{found.experiment}: {done}, {found.runs:,} times; {told}",
        f"  policy {found.policy}, alpha {found.limit:g}, {found.looks} looks",
        "",
        f"  PROMOTE            {found.promoted:>7.3f}   {said}",
        f"  REJECT             {found.rejected:>7.3f}",
        f"  a naive paired z   {found.naive:>7.3f}   promotes, each look read as if it were the only one",
    ]
    return "\n".join(lines)
