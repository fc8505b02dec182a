"""RetrainingPolicy: a look is RETRAIN when its figures may be read and all seven parts of the proof pass."""

import msgspec
from msgspec import UNSET, UnsetType

from policies.estimate import Estimate, estimate
from policies.gates import Gate
from policies.integrity import integrity_gates, size_gates
from policies.plan import Plan
from policies.retraining import Remedy, prove
from policies.seen import Seen
from policies.verdict import Verdict, deciding_gates, reasons_of

_NOT_MEASURED = Gate(
    name="proof",
    rule="the rivals of the champion were measured",
    state="waits",
    reason="Nobody measured them: take a look at the experiment.",
)


def retrained(seen: Seen, plan: Plan) -> Verdict:
    """Return the verdict on a challenger trained on the recent log, with its rivals (docs/adr/0015, 0045).

    It is RETRAIN, HOLD, INVALID or NOT_IDENTIFIABLE; when anything holds, nothing is to be done but what a
    part says: fix the data, or recalibrate.
    """
    evidence, look = seen.evidence, len(seen.previous) + 1
    gates = list(integrity_gates(evidence, plan, seen.integrity, look))
    estimates: tuple[Estimate, ...] = ()
    remedy: Remedy | UnsetType = UNSET
    parts: list[Gate] = []
    if not any(gate.state == "fails" and gate.leads_to == "INVALID" for gate in gates):
        estimates = estimate(evidence, plan)
        gates += size_gates(estimates, plan, seen.integrity)
        remedy, parts = _proof(seen, plan, sound=all(gate.state == "passes" for gate in gates))
        gates += parts
    state, deciding = deciding_gates(gates)
    if state == "PROMOTE":  # nothing fails and nothing waits: all seven parts pass
        state, deciding = "RETRAIN", gates[-len(parts) :]
    return Verdict(
        state=state,
        policy=plan.policy.name,
        look=look,
        reasons=reasons_of(deciding),
        gates=tuple(gates),
        estimates=estimates,
        more_units=None,  # each part says for itself what more would show
        plan=plan.digest,
        evidence=evidence.digest,
        retraining=remedy,
    )


def _proof(seen: Seen, plan: Plan, *, sound: bool) -> tuple[Remedy | UnsetType, list[Gate]]:
    """Return the remedy and the parts; what is not `sound` around them waits before anybody acts."""
    if seen.rivalry is None:
        return UNSET, [_NOT_MEASURED]
    facts, contenders, signs = seen.rivalry
    proof = prove(plan, facts, contenders, signs)
    remedy = proof.remedy
    if not sound and remedy.challenger is not None:
        remedy = msgspec.structs.replace(remedy, action="wait", challenger=None)
    return remedy, list(proof.parts)
