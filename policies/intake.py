"""Gates of what must arrive whole: shares of arms, and pairs. Exact at any look, and INVALID where broken."""

import math
from collections.abc import Iterator

import msgspec
from msgspec import UnsetType

from policies.completeness import completeness, ratio_mismatch
from policies.gates import Gate, e_value
from policies.intake_plan import ArmsPlan, CompletenessPlan
from policies.plan import Plan

OTHER = "any other"


class Intake(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Counts of the window's decisions by level, whatever their age: of each arm; of watched ones.

    `missing` are those of the watched ones that have no answer of the challenger.
    """

    arms: dict[str, int] = {}
    watched: dict[str, int] = {}
    missing: dict[str, int] = {}


def intake_gates(found: Intake | UnsetType, plan: Plan) -> Iterator[Gate]:
    """Yield the gates that the plan registers."""
    counted = Intake() if isinstance(found, UnsetType) else found
    if isinstance(plan.arms, ArmsPlan):
        yield _arms(counted, plan.arms)
    if isinstance(plan.completeness, CompletenessPlan):
        yield _pairs(counted, plan.completeness)


def _arms(found: Intake, plan: ArmsPlan) -> Gate:
    shares = dict(zip(plan.levels, plan.shares, strict=True))
    log = ratio_mismatch(found.arms, shares | {OTHER: 0.0})
    broken, limit = log >= -math.log(plan.alpha), 1.0 / plan.alpha
    came = ", ".join(f"{name} {found.arms.get(name, 0)}" for name in (*plan.levels, OTHER))
    stray = found.arms.get(OTHER, 0)
    remedy = ": find what splits the traffic." if broken else "."
    return Gate(
        name="shares of arms",
        rule=f'the e-value for "{plan.feature} comes in other shares" stays below {limit:.6g}',
        state="fails" if broken else "passes",
        leads_to="INVALID",
        e_value=e_value(log),
        e_limit=limit,
        assumption="each decision is assigned by chance alone, whatever came before it",
        reason=f"{came} decisions came{f', {stray} of no registered arm' if stray else ''}{remedy}",
    )


def _pairs(found: Intake, plan: CompletenessPlan) -> Gate:
    names = (*plan.levels, OTHER)
    cells = {name: (found.missing.get(name, 0), found.watched.get(name, 0)) for name in names}
    tested = completeness(cells, limit=plan.limit, alpha=plan.alpha)
    by = plan.feature or "the live decision"
    lacking = ", ".join(f"{name} {cells[name][0]} of {cells[name][1]}" for name in tested.broken)
    total = f"{sum(each[0] for each in cells.values())} of {sum(each[1] for each in cells.values())}"
    return Gate(
        name="completeness of pairs",
        rule=f"at most {plan.limit:.3g} of the decisions lack the challenger's answer, by {by}",
        state="fails" if tested.broken else "passes",
        leads_to="INVALID",
        e_value=e_value(max(tested.log_e.values())),
        e_limit=len(names) / plan.alpha,
        assumption="given the decisions before it, each lacks its answer with a chance of at most the limit",
        reason=f"Beyond it: {lacking}. Find out why these lack one."
        if tested.broken
        else f"{total} decisions lack one.",
    )
