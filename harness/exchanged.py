"""A/A on an experiment's own looks: a coin for each unit says which answers count as the challenger's.

After the exchange both models are equally good, by construction, with the units and the days that there
were. The registered policy then reads looks as often as it did. Whatever it promotes, it promotes wrongly.
"""

import math

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from harness.errors import UsageError
from harness.experiments import get_experiment
from harness.log.log import Log
from harness.looks import FINAL, Taken, stored_looks
from policies.catalogue import decide
from policies.estimate import UNIT_NOUNS, Look
from policies.evidence import Evidence, MetricEvidence
from policies.plan import Plan
from policies.rules import RULES
from policies.units import PerUnit

_SIGMAS = 3.0
_Z = 1.644854  # one-sided 5 %
_FEWEST = 2
Keys = npt.NDArray[np.int64]


class Exchanged(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the runs: shares that the policy promoted or rejected, and the naive test promoted.

    `limit` is alpha, held within `tolerance`, three standard errors of the runs.
    """

    experiment: str
    policy: str
    runs: int
    looks: int
    units: int
    unit: str
    promoted: float
    rejected: float
    limit: float
    tolerance: float
    holds: bool
    naive: float


def exchange(log: Log, name: str, *, runs: int, seed: int) -> Exchanged:
    """Return how often equal models would have been promoted at the looks of an experiment.

    Raises:
        UsageError: the experiment has no look, keeps no units, or its policy may promote equal models.
    """
    plan, looks = get_experiment(log, name).declared.plan, stored_looks(log, name)
    _check(name, plan, looks)
    plan = msgspec.structs.replace(plan, slices=UNSET)  # slices keep no evidence of their own
    seen = [
        (each, msgspec.structs.replace(Evidence.from_json(each.look.evidence), plan=plan.digest))
        for each in looks
    ]
    keys = np.unique(np.concatenate([m.units.keys for _, found in seen for m in found.metrics.values()]))
    rng = np.random.default_rng(seed)
    states, naive = [], 0
    for _ in range(runs):
        coins = rng.random(keys.size) < 0.5  # noqa: PLR2004  # a fair one
        mixed = [(taken, _swapped(found, keys[coins])) for taken, found in seen]
        states.append(_state(mixed, plan))
        naive += any(_fooled(found, plan) for _, found in mixed)
    alpha, promoted = plan.policy.alpha, states.count("PROMOTE") / runs
    spread = _SIGMAS * math.sqrt(alpha * (1.0 - alpha) / runs)
    return Exchanged(
        experiment=name,
        policy=plan.policy.name,
        runs=runs,
        looks=len(looks),
        units=keys.size,
        unit=UNIT_NOUNS[plan.unit.kind],
        promoted=promoted,
        rejected=states.count("REJECT") / runs,
        limit=alpha,
        tolerance=round(spread, 6),
        holds=promoted <= alpha + spread,
        naive=naive / runs,
    )


def _check(name: str, plan: Plan, looks: list[Taken]) -> None:
    if not looks:
        raise UsageError(
            f"Experiment {name} was not looked at.",
            "Expected at least one look.",
            f'Take one with "harness evaluate {name}".',
        )
    promotes = {RULES[plan.policy.name].hypotheses(metric.role)[0] for metric in plan.gating}
    if plan.unit.kind == "request":
        raise UsageError(
            f"The looks of {name} count single decisions and keep no units to exchange.",
            'Expected unit kind = "day" or "column".',
            'Simulate it with "harness policy certify".',
        )
    if not promotes & {"superiority", "advantage"}:
        raise UsageError(
            f'Policy "{plan.policy.name}" may promote a model that is only as good.',
            "Expected a policy that asks for more.",
            'Simulate it with "harness policy certify".',
        )


def _swapped(evidence: Evidence, keys: Keys) -> Evidence:
    """Return the evidence with champion and challenger exchanged in these units."""
    metrics = {name: _exchanged(each, keys) for name, each in evidence.metrics.items()}
    return msgspec.structs.replace(evidence, metrics=metrics)


def _exchanged(metric: MetricEvidence, keys: Keys) -> MetricEvidence:
    units = metric.units
    turned = np.isin(units.keys, keys)
    live = np.where(turned, units.challenger, units.champion)
    other = np.where(turned, units.champion, units.challenger)
    return msgspec.structs.replace(
        metric,
        champion=int(live.sum()),
        challenger=int(other.sum()),
        units=PerUnit(units.keys, units.counts, live, other),
    )


def _state(looks: list[tuple[Taken, Evidence]], plan: Plan) -> str:
    """Return the first final state, as looks would have been taken until then; else the last."""
    previous: list[Look] = []
    state = "HOLD"
    for number, (taken, evidence) in enumerate(looks, 1):
        verdict = decide(evidence, plan, integrity=taken.look.integrity, previous=previous)
        previous.append(Look.of(number, verdict.estimates))
        state = verdict.state
        if state in FINAL:
            break
    return state


def _fooled(evidence: Evidence, plan: Plan) -> bool:
    """Return whether a paired z over units, read as if this look were the only one, would promote."""
    metric = next(each for each in plan.gating if each.role == "primary")
    sign = 1 if metric.direction == "higher" else -1
    means, _ = evidence.metrics[metric.name].units.means(sign, round(plan.clip(metric.name) * plan.scale))
    if means.size < _FEWEST or not means.std():
        return False
    return bool(means.mean() / (means.std(ddof=1) / math.sqrt(means.size)) >= _Z)


def exchanged_text(found: Exchanged) -> str:
    """Return the answer for a terminal."""
    done = f"champion and challenger exchanged by a coin in each of {found.units:,} {found.unit}"
    said = f"{'holds' if found.holds else 'FAILS'}: at most {found.limit:g} + {found.tolerance:.3f}"
    lines = [
        f"{found.experiment}: {done}, {found.runs:,} times; both are equally good",
        f"  policy {found.policy}, alpha {found.limit:g}, {found.looks} looks",
        "",
        f"  PROMOTE            {found.promoted:>7.3f}   {said}",
        f"  REJECT             {found.rejected:>7.3f}",
        f"  a naive paired z   {found.naive:>7.3f}   promotes, each look read as if it were the only one",
    ]
    return "\n".join(lines)
