"""Integrity: whether the figures of a look may be read at all, and whether enough was seen."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from policies.estimate import UNIT_NOUNS, Estimate
from policies.evidence import Evidence
from policies.figures import tidy
from policies.gates import Gate, GateState
from policies.intake import Intake, intake_gates
from policies.plan import Plan


class Integrity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the harness counted over the window, beside the evidence.

    `decisions` in the window; `matured` of them old enough for the label; `used`: matured, with an outcome
    and compared. `reasons` tells why others were left. `scored` and `failed` split the decisions that the
    challenger was given. `trained_until`: last position that it learned from, 0 for none, None when it is
    not declared. The window is [window_start, window_stop) in positions. `noise_floor` is the champion
    scored again (`rows`, `failed`, `unscored`, `decisions_compared`, `differing_decisions`,
    `differing_scores`, `max_abs_difference`; `error` when the model raised on what it was given), None
    when that was not possible. `intake` is set where the plan watches what arrives.
    """

    decisions: int
    matured: int
    used: int
    scored: int
    failed: int
    trained_until: int | None
    window_start: int
    window_stop: int
    reasons: dict[str, int] = {}
    noise_floor: dict[str, Any] | None = None
    # Unset and not null, so that the looks before it keep their bytes.
    intake: Intake | UnsetType = UNSET


def integrity_gates(evidence: Evidence, plan: Plan, integrity: Integrity, look: int) -> Iterator[Gate]:
    """Yield the gates that ask whether the figures may be read at all."""
    yield _same_plan(evidence, plan)
    yield _counts(evidence, integrity)
    yield _training_range(integrity)
    yield _noise_floor(integrity.noise_floor, plan)
    yield Gate(
        name="looks",
        rule=f"at most {plan.policy.max_looks} looks",
        state="passes" if look <= plan.policy.max_looks else "fails",
        leads_to="INVALID",
        value=look,
        limit=plan.policy.max_looks,
        reason=f"This is look {look} of at most {plan.policy.max_looks}.",
    )
    if plan.unit.kind == "request":
        yield _independence(evidence, plan.policy.max_repeats)
    yield from intake_gates(integrity.intake, plan)
    yield _identification(plan)


def _same_plan(evidence: Evidence, plan: Plan) -> Gate:
    same = evidence.plan == plan.digest and evidence.scale == plan.scale
    return Gate(
        name="plan",
        rule="the evidence was folded under the registered plan",
        state="passes" if same else "fails",
        leads_to="INVALID",
        reason="It was."
        if same
        else f"It was folded under plan {evidence.plan[:12]} at scale {evidence.scale}, registered is "
        f"{plan.digest[:12]} at {plan.scale}: fold the columns again.",
    )


def _counts(evidence: Evidence, integrity: Integrity) -> Gate:
    ordered = 0 <= integrity.used <= integrity.matured <= integrity.decisions
    folded = evidence.rows <= integrity.matured
    return Gate(
        name="counts",
        rule="rows folded and decisions used are among the matured, and those among all",
        state="passes" if ordered and folded else "fails",
        leads_to="INVALID",
        reason=f"Folded {evidence.rows}, used {integrity.used}, matured {integrity.matured}, "
        f"decisions {integrity.decisions}.",
    )


def _training_range(integrity: Integrity) -> Gate:
    rule = "the challenger learned from nothing in the window"
    until, start = integrity.trained_until, integrity.window_start
    if until is None:
        reason = "Its training range is not declared: register it with trained_until (0 for none)."
        return Gate(name="training range", rule=rule, state="fails", limit=start, reason=reason)
    overlaps = until >= start
    return Gate(
        name="training range",
        rule=rule,
        state="fails" if overlaps else "passes",
        leads_to="INVALID",
        value=until,
        limit=start,
        reason=f"It learned from positions up to {until}; the window starts at {start}"
        + (f": evaluate it from position {until + 1} on." if overlaps else "."),
    )


def _noise_floor(floor: Mapping[str, Any] | None, plan: Plan) -> Gate:
    limit, distance = plan.policy.max_noise_share, plan.policy.max_noise_difference
    found = floor or {}
    by_scores = bool(found.get("rows")) and found.get("decisions_compared") == 0
    rule = f"scored again, the champion {'scores' if by_scores else 'decides'} differently "
    rule += f"in at most {limit:.3g} of decisions"
    if distance is not None:
        rule += f", and no score moves by more than {distance:.3g}"
    state, share, reason = _noise(found, limit, distance, by_scores=by_scores)
    value = None if share is None else tidy(share)
    return Gate(
        name="noise floor",
        rule=rule,
        state=state,
        # What was not scored again leads nowhere: nothing is known against it.
        leads_to="INVALID" if found else "HOLD",
        value=value,
        limit=limit,
        reason=reason,
    )


def _noise(
    floor: Mapping[str, Any], limit: float, distance: float | None, *, by_scores: bool
) -> tuple[GateState, float | None, str]:
    """Return how the noise floor stands, the share that differs (None: nothing was compared), and why.

    Where no decision was recorded the scores are compared. A difference within the registered tolerance is
    none there; without a tolerance every other bit is one.
    """
    rows, failed = int(floor.get("rows") or 0), int(floor.get("failed") or 0)
    if floor.get("error") or (failed and not rows):
        why = f": {floor['error']}" if floor.get("error") else ""
        return "fails", None, f"Scored again, the champion failed on {failed} of its own snapshots{why}."
    if not rows:
        return "passes", None, "The champion was not scored again, so the harness's own noise is not known."
    moved = float(floor.get("max_abs_difference") or 0.0)
    near = distance is None or moved <= distance
    compared, differing = floor.get("decisions_compared", rows), floor.get("differing_decisions") or 0
    if by_scores:
        compared = rows - int(floor.get("unscored") or 0)
        differing = 0 if distance is not None and near else floor.get("differing_scores") or 0
    if not compared:
        return "waits", None, f"Neither decisions nor scores were recorded with the {rows} scored again."
    share = differing / compared
    quiet = share <= limit and near
    beyond = f" by more than {distance:.3g}" if by_scores and distance is not None and near else ""
    figures = f"{differing} of {compared} {'scores' if by_scores else 'decisions'} differ{beyond}, "
    figures += f"scores by at most {moved:.3g}"
    remedy = "." if quiet else ": find the skew between service and replay first."
    return ("passes" if quiet else "fails"), share, figures + remedy


def _independence(evidence: Evidence, limit: float) -> Gate:
    share = evidence.repeats.share
    return Gate(
        name="independence",
        rule=f"at most {limit:.3g} of decisions come from a unit seen before",
        state="passes" if share <= limit else "fails",
        leads_to="INVALID",
        value=tidy(share),
        limit=limit,
        reason=f"{share:.3g} of decisions repeat a unit"
        + ("." if share <= limit else ': register a new experiment with unit kind = "column".'),
    )


def _identification(plan: Plan) -> Gate:
    bad = [metric for metric in plan.gating if not metric.identified]
    why = {
        "blocked": "its outcome is never seen where the live decision blocks; explore a share of those "
        "decisions and record the propensity",
        "logged_action": "its outcome depends on the live decision; that needs an off-policy estimate from "
        "recorded propensities, which a paired policy does not make",
    }
    return Gate(
        name="identification",
        rule="every metric that gates is identified by the log",
        state="fails" if bad else "passes",
        leads_to="NOT_IDENTIFIABLE",
        reason=" ".join(f"{metric.name}: {why[metric.identification]}." for metric in bad) or "All are.",
    )


def size_gates(estimates: Sequence[Estimate], plan: Plan, integrity: Integrity) -> Iterator[Gate]:
    """Yield the gates that ask whether enough was seen, and enough of it could be used."""
    every = [each for each in estimates if each.role != "context"]
    gating = [each for each in every if not plan.metric(each.metric).sampled] or every
    units, decisions = min(each.units for each in gating), min(each.decisions for each in gating)
    noun = UNIT_NOUNS[plan.unit.kind]
    yield _at_least(f"{noun} seen" if noun == "decisions" else noun, units, plan.policy.min_units, noun)
    yield _at_least("decisions used", decisions, plan.policy.min_decisions, "decisions")
    yield _share(
        "coverage",
        f"at least {plan.policy.min_coverage:.3g} of the matured decisions could be used",
        (integrity.used, integrity.matured, "matured decisions could be used"),
        at_least=plan.policy.min_coverage,
    )
    yield _share(
        "failed",
        f"the challenger failed on at most {plan.policy.max_failed_share:.3g} of decisions",
        (integrity.failed, integrity.scored + integrity.failed, "decisions failed"),
        at_most=plan.policy.max_failed_share,
    )


def _at_least(name: str, count: int, limit: int, noun: str) -> Gate:
    more = "." if count >= limit else f"; {limit - count} more are needed."
    return Gate(
        name=name,
        rule=f"at least {limit} {noun} matured and used",
        state="passes" if count >= limit else "waits",
        value=count,
        limit=limit,
        reason=f"{count} of {limit} {noun}{more}",
    )


def _share(
    name: str, rule: str, parts: tuple[int, int, str], *, at_least: float = 0.0, at_most: float = 1.0
) -> Gate:
    part, whole, noun = parts
    limit = at_least if at_most == 1.0 else at_most
    if not whole:
        return Gate(name=name, rule=rule, state="waits", limit=limit, reason="Nothing was counted yet.")
    share = part / whole
    return Gate(
        name=name,
        rule=rule,
        state="passes" if at_least <= share <= at_most else "fails",
        value=tidy(share),
        limit=limit,
        reason=f"{part} of {whole} {noun}.",
    )
