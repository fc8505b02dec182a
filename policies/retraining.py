"""Retraining needs proof: seven parts, each a gate with its figures; any that fails is a recorded "no".

Drift is no proof. What proves is a challenger that was trained on the recent log and beats the champion, and
the champion recalibrated, on rows that neither has seen (docs/adr/0015).
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from policies.contenders import CHALLENGERS, RECALIBRATED, Contender, Facts
from policies.diagnosis import Diagnosis, Signs, diagnose
from policies.duel import Duel, duel
from policies.errors import PlanError
from policies.gates import Gate
from policies.plan import Plan
from policies.proof_parts import parts_of
from policies.retrain_rule import RetrainRule
from recorders.canonical import canonical_json, digest

Action = Literal["retrain", "recalibrate", "fix the data", "wait", "none"]
_READABLE = 3  # the parts that ask whether the figures may be read: integrity, labels, split
_COMPARED = 5  # and those that compare


class Remedy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to do and why, beside the gates. `challenger` is who replaces the champion, when somebody does.

    A HOLD may say that recalibration is enough.
    """

    action: Action
    challenger: str | None
    diagnosis: Diagnosis
    duels: tuple[Duel, ...]
    facts: Facts
    signs: Signs


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer with its seven parts: RETRAIN when all pass; INVALID when the figures may not be read."""

    state: Literal["RETRAIN", "HOLD", "INVALID"]
    parts: tuple[Gate, ...]
    remedy: Remedy

    def to_json(self) -> bytes:
        """Return the canonical JSON; the same inputs give the same bytes."""
        return canonical_json(msgspec.to_builtins(self))

    @property
    def digest(self) -> str:
        """Return the digest of the canonical JSON: 64 hex digits."""
        return digest(self.to_json())


def prove(plan: Plan, facts: Facts, contenders: Sequence[Contender], signs: Signs) -> Proof:
    """Return whether retraining is proven, part by part, with the diagnosis.

    Each contender spends a third of the policy's alpha; looking again is free: every gate is an e-value.
    `signs` (drift and calibration) inform the diagnosis and can open no gate.

    Raises:
        PlanError: a contender is there twice, or the plan registers no retraining.
        EvidenceMismatch: evidence was folded under another plan.
    """
    rule = plan.retraining
    if not isinstance(rule, RetrainRule):
        raise PlanError("retraining", None, "a rule of retraining", 'Use policy.name = "retraining".')
    names = [each.name for each in contenders]
    if len(set(names)) < len(names):
        raise PlanError("contenders", names, "each at most once", "Remove one.")
    level = plan.policy.alpha / (len(CHALLENGERS) + 1)
    duels = tuple(duel(each.name, each, plan, rule, level) for each in contenders)
    fair = {each.name for each in contenders if each.failed <= plan.policy.max_failed_share * each.given}
    winner = _winner([each for each in duels if each.name in fair])
    recalibrated = next((each for each in duels if each.name == RECALIBRATED), None)
    parts = parts_of(plan, facts, contenders, duels, winner)
    state, action = _decided(parts, winner, recalibrated)
    acting = winner if action == "retrain" else recalibrated if action == "recalibrate" else None
    remedy = Remedy(
        action=action,
        challenger=acting.name if acting else None,
        diagnosis=diagnose(signs, broken=parts[0].state == "fails", winner=winner, recalibrated=recalibrated),
        duels=duels,
        facts=facts,
        signs=signs,
    )
    return Proof(state, parts, remedy)


def _winner(duels: Sequence[Duel]) -> Duel | None:
    """Return the challenger with the larger gain among those that beat both the champion and its rival."""
    found = [each for each in duels if each.name in CHALLENGERS and each.beats_champion and each.beats_rival]
    return max(found, key=lambda each: (each.gain or 0.0, each.name), default=None)


def _decided(
    parts: Sequence[Gate], winner: Duel | None, recalibrated: Duel | None
) -> tuple[Literal["RETRAIN", "HOLD", "INVALID"], Action]:
    """Return the state and what to do: what may not be read first, then proof, then the cheaper remedy."""
    if any(part.state == "fails" and part.leads_to == "INVALID" for part in parts):
        return "INVALID", "fix the data" if parts[0].state == "fails" else "none"
    if all(part.state == "passes" for part in parts):
        return "RETRAIN", "retrain"
    others = (*parts[:_READABLE], *parts[_COMPARED:])
    cheaper = winner is None and recalibrated is not None and recalibrated.beats_champion
    if cheaper and all(part.state == "passes" for part in others):
        return "HOLD", "recalibrate"
    return "HOLD", "wait" if any(part.state == "waits" for part in parts) else "none"
