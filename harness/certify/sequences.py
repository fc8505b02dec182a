"""The procedures of a plan: whether its sequences hold the truth, whether its slices are named rightly."""

import math
from collections.abc import Iterator

import numpy as np

from harness.certify.procedures import Asked, Measured, Procedure, judged
from harness.certify.registered import registered_procedures
from harness.certify.scenarios import effect_of, step_of
from harness.certify.simulate import Counts, Flags, cells_of, log_e_at, units_per_look
from harness.certify.worlds import Assumed, World, world
from policies.columns import Floats
from policies.group_sequential import LOOKS_MAX, spending_bounds
from policies.metric_plan import MetricPlan
from policies.options import declared
from policies.plan import Plan
from policies.slice_plan import SlicePlan

_Z = 1.959964
_HARMED = 3
_CHUNK = 500


def plan_procedures(plan: Plan, assumed: Assumed) -> Iterator[Procedure]:
    """Yield the procedures that a plan uses: a sequence for each metric that gates, and what it registers."""
    looks = min(assumed.looks, plan.policy.max_looks)
    for metric in plan.gating:
        asked = Asked(
            f"sequence of {metric.name}, {plan.unit.kind}",
            "the true difference lies outside at some look",
            plan.policy.alpha,
            "the normal interval at each look",
        )
        yield judged(asked, _coverage(plan, metric, assumed, looks), runs=assumed.runs, looks=looks)
    yield from _planned_looks(plan, assumed, looks)
    yield from registered_procedures(plan, assumed, looks)
    if isinstance(plan.slices, SlicePlan):
        for harmed in (0, _HARMED):
            asked = Asked(
                f"slices by e-BH, {harmed} of {plan.slices.hypotheses} harmed",
                "share of sound ones among the first named",
                plan.policy.alpha,
                "a z of each slice at each look",
            )
            found = _slices(plan, assumed, looks, harmed)
            yield judged(asked, found, runs=assumed.runs, looks=looks)


def _planned_looks(plan: Plan, assumed: Assumed, looks: int) -> Iterator[Procedure]:
    """Yield the group-sequential tests that metrics plan, at those looks that lie within what is planned."""
    for metric in plan.metrics:
        units = declared(metric.planned_units) or 0
        within = min(looks, units // units_per_look(plan, assumed), LOOKS_MAX)
        for kind in ("obrien-fleming", "pocock"):
            if kind not in (declared(metric.planned) or ()) or not within:
                continue
            asked = Asked(
                f"{kind} of {metric.name}",
                "equal models told apart",
                plan.policy.alpha,
                "the paired z at the same looks",
                "asymptotic",
                planned=True,
            )
            times = [units_per_look(plan, assumed) * k / units for k in range(1, within + 1)]
            bounds = np.array(spending_bounds(times, kind, plan.policy.alpha))
            yield judged(asked, _crossed(plan, metric, assumed, bounds), runs=assumed.runs, looks=within)


def _crossed(plan: Plan, metric: MetricPlan, assumed: Assumed, bounds: Floats) -> Measured:
    """Return how often equal models reach a bound at some look, and how often 1.96."""
    chosen = world(0.0, assumed, clip=plan.clip(metric.name), step=step_of(metric, plan, assumed))
    crossed = fooled = 0
    for start, runs in _chunks(assumed.runs):
        rng = np.random.default_rng([assumed.seed, 1_003, start])
        counts = cells_of(chosen, units_per_look(plan, assumed), bounds.size, runs, rng)
        n, total, squares = (counts @ values for values in (chosen.values**k for k in range(3)))
        z = np.abs(total) / np.sqrt(np.maximum(n * squares - total**2, 1e-12) / np.maximum(n - 1, 1))
        crossed += int((z >= bounds).any(axis=1).sum())
        fooled += int((z >= _Z).any(axis=1).sum())
    return Measured(crossed / assumed.runs, fooled / assumed.runs)


def _chunks(runs: int) -> Iterator[tuple[int, int]]:
    return ((start, min(_CHUNK, runs - start)) for start in range(0, runs, _CHUNK))


def _coverage(plan: Plan, metric: MetricPlan, assumed: Assumed, looks: int) -> Measured:
    """Return how often the truth, the effect that should be found, is outside at some look."""
    effect, clip = effect_of(metric, plan, assumed), plan.clip(metric.name)
    chosen = world(effect, assumed, clip=clip, step=step_of(metric, plan, assumed))
    missed = fooled = 0
    for start, runs in _chunks(assumed.runs):
        rng = np.random.default_rng([assumed.seed, 1_001, start])
        counts = cells_of(chosen, units_per_look(plan, assumed), looks, runs, rng)
        missed += int(outside(plan, metric, chosen, counts).any(axis=1).sum())
        fooled += int(_normal_outside(chosen, counts).any(axis=1).sum())
    return Measured(missed / assumed.runs, fooled / assumed.runs)


def outside(plan: Plan, metric: MetricPlan, chosen: World, counts: Counts) -> Flags:
    """Return where the confidence sequence leaves out the mean of the world, shape (runs, looks).

    It leaves out every null that either side rejects at half of alpha (policies/sample.py, `Sample.lower`).
    """
    wanted, null = math.log(2.0 / plan.policy.alpha), chosen.mean / plan.clip(metric.name)
    above = log_e_at(plan, metric, chosen, counts, null, interval=True) >= wanted
    below = log_e_at(plan, metric, chosen, counts, -null, swapped=True, interval=True) >= wanted
    found: Flags = above | below
    return found


def _normal_outside(chosen: World, counts: Counts) -> Flags:
    n = counts.sum(axis=-1)
    mean = counts @ chosen.values / n
    spread = np.sqrt(np.maximum(counts @ chosen.values**2 / n - mean**2, 1e-12) / n)
    found: Flags = np.abs(mean - chosen.mean) > _Z * spread
    return found


def _slices(plan: Plan, assumed: Assumed, looks: int, harmed: int) -> Measured:
    """Return the mean share of sound slices among those that are named first; each has its part of the units.

    Sound ones are at the edge of harm, where naming them is as likely as it may be.
    """
    declared, metric = plan.slices, plan.sliced
    assert isinstance(declared, SlicePlan), "a plan without slices has none to search"
    clip, step = plan.clip(metric.name), step_of(metric, plan, assumed)
    far = effect_of(metric, plan, assumed)
    sound, worse = (
        world(-declared.margin - beyond, assumed, clip=clip, step=step) for beyond in (0.0, 3.0 * far)
    )
    units = max(units_per_look(plan, assumed) // declared.hypotheses, 1)
    wrong, fooled = [], []
    for start, runs in _chunks(assumed.runs):
        logs, zs = [], []
        for place in range(declared.hypotheses):
            chosen = worse if place < harmed else sound
            rng = np.random.default_rng([assumed.seed, 1_002, harmed, start, place])
            counts = cells_of(chosen, units, looks, runs, rng)
            logs.append(
                log_e_at(plan, metric, chosen, counts, declared.margin / clip, swapped=True).astype(
                    np.float32
                )
            )
            zs.append(_harm_z(chosen, counts, declared.margin))
        wrong.append(first_wrong(named_by_e_bh(np.stack(logs), plan.policy.alpha), harmed))
        shown: Flags = np.stack(zs) >= _Z
        fooled.append(first_wrong(shown, harmed))
    return Measured(float(np.concatenate(wrong).mean()), float(np.concatenate(fooled).mean()))


def _harm_z(chosen: World, counts: Counts, margin: float) -> Floats:
    n = counts.sum(axis=-1)
    mean = counts @ chosen.values / n
    spread = np.sqrt(np.maximum(counts @ chosen.values**2 / n - mean**2, 1e-12) / n)
    found: Floats = -(mean + margin) / spread
    return found


def named_by_e_bh(logs: Floats, alpha: float) -> Flags:
    """Return which slices e-BH names, shape (slices, runs, looks), from log e-values of that shape."""
    size = logs.shape[0]
    order = -np.sort(-logs, axis=0)
    needed = np.log(size / (alpha * np.arange(1, size + 1)))[:, None, None]
    reached = order >= needed
    count = np.where(reached.any(axis=0), size - np.argmax(reached[::-1], axis=0), 0)
    ranks = np.argsort(np.argsort(-logs, axis=0, kind="stable"), axis=0, kind="stable")
    found: Flags = ranks < count
    return found


def first_wrong(named: Flags, harmed: int) -> Floats:
    """Return the share of sound slices among those named at the first look that names any; 0 for none."""
    some: Flags = np.any(named, axis=0)
    look = some.argmax(axis=1)
    runs = np.arange(named.shape[1])
    total, sound = named.sum(axis=0)[runs, look], named[harmed:].sum(axis=0)[runs, look]
    found: Floats = np.where(np.any(some, axis=1), sound / np.maximum(total, 1), 0.0)
    return found
