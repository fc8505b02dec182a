"""The seven parts of a proof of retraining, each a gate with its rule, its figures and its reason."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import UnsetType

from policies.contenders import CHALLENGERS, RECALIBRATED, Contender, Facts
from policies.duel import Duel
from policies.estimate import ASSUMPTIONS, Validity
from policies.figures import tidy
from policies.gates import Gate
from policies.plan import Plan
from policies.retrain_rule import RetrainRule

_SAME_FUTURE = "decisions of the horizon are like those held out"
_TRUTHFUL = "every contender's registered trained_until is true"


def parts_of(
    plan: Plan,
    facts: Facts,
    contenders: Sequence[Contender],
    duels: Sequence[Duel],
    winner: Duel | None,
) -> tuple[Gate, ...]:
    """Return the seven parts; the last two are about the winner, or else the recalibrated champion."""
    rule = plan.retraining
    assert isinstance(rule, RetrainRule), "policies.retraining checks it"
    by_name = {each.name: each for each in duels}
    recalibrated = by_name.get(RECALIBRATED)
    cheaper = recalibrated if recalibrated is not None and recalibrated.beats_champion else None
    chosen = winner or cheaper
    return (
        _integrity(facts, rule),
        _labels(facts, rule, plan.policy.alpha),
        _split(facts, contenders),
        _win(contenders, duels, plan, rule),
        _rivals(by_name, winner, plan),
        _slices(chosen, rule, plan),
        _economics(chosen, facts, rule),
    )


def _integrity(facts: Facts, rule: RetrainRule) -> Gate:
    said = (
        f"no quality rule is broken, and at most {rule.max_skew:.3g} of replayed values are not those served"
    )
    skew = facts.skewed / facts.replayed if facts.replayed and facts.skewed is not None else None
    if facts.broken:
        state, reason = "fails", f"Fix the data first: {' '.join(facts.broken)}"
    elif skew is None:
        state, reason = "waits", "No value was replayed, so skew is not known: score the champion again."
    elif skew > rule.max_skew:
        state, reason = (
            "fails",
            f"{facts.skewed} of {facts.replayed} replayed values differ: fix the skew first.",
        )
    else:
        state, reason = "passes", f"{facts.skewed} of {facts.replayed} replayed values differ."
    if not isinstance(facts.encrypted, UnsetType):
        kept = ", ".join(f"{name} in {count}" for name, count in sorted(facts.encrypted.items()))
        reason += f" Kept encrypted, so not looked at: {kept} of the decisions held out."
    return _part(
        "1 integrity",
        said,
        state,
        reason,
        leads_to="INVALID",
        value=skew,
        limit=rule.max_skew,
        assumption="the reference was whole when the rules were cut from it",
    )


def _labels(facts: Facts, rule: RetrainRule, alpha: float) -> Gate:
    said = (
        f"at least {rule.min_coverage:.3g} of matured decisions have a label, and those are like the others"
    )
    if not facts.matured:
        return _part("2 labels", said, "waits", "No decision has matured.", limit=rule.min_coverage)
    share = facts.labelled / facts.matured
    biased = facts.label_bias >= rule.max_label_bias and facts.label_bias_chance <= alpha
    reason = (
        f"{facts.labelled} of {facts.matured} have a label; the scores of both kinds differ "
        f"by {facts.label_bias:.3g} (chance {facts.label_bias_chance:.2g})."
    )
    state = "fails" if biased else "passes" if share >= rule.min_coverage else "waits"
    return _part(
        "2 labels",
        said,
        state,
        reason,
        value=share,
        limit=rule.min_coverage,
        validity="asymptotic",
        assumption="decisions with and without a label that score alike are alike",
    )


def _split(facts: Facts, contenders: Sequence[Contender]) -> Gate:
    said = "trained before the held-out range, a label's window apart, and that range was never read"
    until = max((each.trained_until for each in contenders), default=0)
    reasons = []
    if until >= facts.heldout_start:
        reasons.append(
            f"A contender learned from position {until}, held out is from {facts.heldout_start} on."
        )
    if facts.gap_us < facts.window_us:
        reasons.append(
            f"The gap is {facts.gap_us / 1e6:.6g} s, the label needs {facts.window_us / 1e6:.6g} s."
        )
    if facts.read_before:
        reasons.append("The held-out range was read before: hold out a later one.")
    if facts.heldout_stop <= facts.heldout_start:
        reasons.append("The held-out range is empty.")
    state = "fails" if reasons else "passes"
    found = " ".join(reasons) or (
        f"Learned up to {until}, held out is [{facts.heldout_start}, {facts.heldout_stop}), "
        f"{facts.gap_us / 1e6:.6g} s apart."
    )
    return _part("3 split", said, state, found, leads_to="INVALID", assumption=_TRUTHFUL)


def _win(contenders: Sequence[Contender], duels: Sequence[Duel], plan: Plan, rule: RetrainRule) -> Gate:
    said = f"a challenger beats the champion by more than {rule.margin:.6g}"
    failing = {
        each.name: f"{each.name}: it failed on {each.failed} of {each.given} decisions, too many to compare."
        for each in contenders
        if each.failed > plan.policy.max_failed_share * each.given
    }
    rivals = [each for each in duels if each.name in CHALLENGERS and each.name not in failing]
    reason = " ".join([each.said for each in rivals] + list(failing.values()))
    if not rivals:
        return _part("4 win", said, "waits", reason or "No challenger was trained.", limit=rule.margin)
    best = max(rivals, key=lambda each: each.log_e_champion)
    state = "passes" if best.beats_champion else "waits"
    return _part(
        "4 win",
        said,
        state,
        reason,
        value=best.gain,
        limit=rule.margin,
        assumption=ASSUMPTIONS[plan.unit.kind],
    )


def _rivals(by_name: Mapping[str, Duel], winner: Duel | None, plan: Plan) -> Gate:
    said = "it also beats the champion recalibrated, out of one challenger on recent and one on all data"
    missing = [name for name in (*CHALLENGERS, RECALIBRATED) if name not in by_name]
    if missing:
        return _part("5 rivals", said, "waits", f"Not there: {', '.join(missing)}.")
    if winner is not None:
        reason = f"{winner.name} beats it too, by {winner.rival_gain:.4g} a decision."
        kept = ASSUMPTIONS[plan.unit.kind]
        return _part("5 rivals", said, "passes", reason, value=winner.rival_gain, assumption=kept)
    recalibrated = by_name[RECALIBRATED]
    if recalibrated.beats_champion:
        reason = f"Recalibration is enough so far: {recalibrated.said}"
        return _part("5 rivals", said, "fails", reason, value=recalibrated.gain)
    return _part("5 rivals", said, "waits", "No challenger is shown better than the recalibrated champion.")


def _slices(chosen: Duel | None, rule: RetrainRule, plan: Plan) -> Gate:
    said = (
        f"on no guarded slice it is worse by more than {rule.slice_margin:.6g}, nor on a guardrail by its own"
    )
    if chosen is None:
        return _part("6 slices", said, "waits", "There is no winner to guard against.")
    bad = [name for name, state in chosen.slices.items() if state == "worse"]
    open_ = [name for name, state in chosen.slices.items() if state == "unknown"]
    if bad:
        state, reason = "fails", f"{chosen.name} is worse on {', '.join(bad)}."
    elif open_:
        state, reason = "waits", f"Not shown yet on {', '.join(open_)}."
    else:
        state, reason = "passes", f"Shown on {len(chosen.slices)} slices and guardrails."
    return _part("6 slices", said, state, reason, assumption=ASSUMPTIONS[plan.unit.kind])


def _economics(chosen: Duel | None, facts: Facts, rule: RetrainRule) -> Gate:
    said = f"the gain that is sure pays {rule.cost:.6g} in {rule.horizon_days:.6g} days, after the cooldown"
    if facts.days_since is not None and facts.days_since < rule.cooldown_days:
        left = rule.cooldown_days - facts.days_since
        return _part("7 economics", said, "waits", f"Cooling down for {left:.6g} more days.")
    if chosen is None or chosen.low is None:
        return _part("7 economics", said, "waits", "There is no gain to count.")
    worth = chosen.low * rule.worth * rule.decisions_per_day * rule.horizon_days
    reason = f"Sure are {chosen.low:.4g} a decision, worth {worth:.6g} against {rule.cost:.6g}."
    state = "passes" if worth > rule.cost else "waits"
    return _part("7 economics", said, state, reason, value=worth, limit=rule.cost, assumption=_SAME_FUTURE)


def _part(  # noqa: PLR0913  the fields of a gate that parts set
    name: str,
    rule: str,
    state: str,
    reason: str,
    *,
    leads_to: Literal["HOLD", "INVALID"] = "HOLD",
    value: float | None = None,
    limit: float | None = None,
    validity: Validity = "exact",
    assumption: str = "",
) -> Gate:
    return Gate(
        name=name,
        rule=rule,
        state=msgspec.convert(state, Literal["passes", "fails", "waits"]),
        reason=reason,
        leads_to=leads_to,
        value=None if value is None else tidy(value),
        limit=limit,
        validity=validity,
        assumption=assumption,
    )
