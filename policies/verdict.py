"""The verdict of a look, and the policies that read it from gates."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from policies.alternatives import alternatives
from policies.belief import Posterior, posteriors
from policies.beside import Beside, beside
from policies.combined import combined_gate
from policies.estimate import Estimate, estimate
from policies.figures import rounded_up
from policies.gates import Gate, State, blocked_gates, hypothesis_gates, off_policy_gates
from policies.integrity import integrity_gates, size_gates
from policies.plan import Plan
from policies.retraining import Remedy
from policies.seen import Seen
from policies.slice_plan import SlicePlan
from policies.slices import Slice, search
from recorders.canonical import canonical_json, digest

# The first state that a gate leads to decides; nothing left to fail or to wait for promotes.
ORDER: tuple[State, ...] = ("INVALID", "NOT_IDENTIFIABLE", "REJECT", "HOLD")


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A verdict with everything behind it; the same inputs give the same bytes.

    `reasons` are those of the gates that decided. INVALID shows no metric. `more_units` is about how many
    more mature units a HOLD needs to be decided, None when more of the same will not decide it. `slices` is
    set where the plan registers some, `posteriors` where a metric registers a prior, `beside` where one
    registers figures beside the gate, `retraining` where the plan registers one.
    """

    state: State
    policy: str
    look: int
    reasons: tuple[str, ...]
    gates: tuple[Gate, ...]
    estimates: tuple[Estimate, ...]
    more_units: int | None
    plan: str
    evidence: str
    # Unset and not null, so that the verdicts before them keep their bytes.
    slices: tuple[Slice, ...] | UnsetType = UNSET
    posteriors: tuple[Posterior, ...] | UnsetType = UNSET
    beside: tuple[Beside, ...] | UnsetType = UNSET
    retraining: Remedy | UnsetType = UNSET

    def to_json(self) -> bytes:
        """Return the canonical JSON that is kept in the log."""
        return canonical_json(msgspec.to_builtins(self))

    @classmethod
    def from_json(cls, data: bytes | str) -> "Verdict":
        """Return the verdict that `to_json` wrote."""
        return msgspec.json.decode(data, type=cls)

    @property
    def more_leads_to(self) -> State | None:
        """Return the verdict that `more_units` more units would give at this rate, None without them."""
        if self.more_units is None:
            return None
        ways = _ways(self.gates, self.estimates)
        return next(state for state, more in ways.items() if more == self.more_units)

    @property
    def digest(self) -> str:
        """Return the digest of the canonical JSON: 64 hex digits."""
        return digest(self.to_json())


def gated(seen: Seen, plan: Plan) -> Verdict:
    """Return the verdict that the gates of a rule give (policies/rules.py).

    A hypothesis counts as shown from the first look at which its e-value reached its limit, which is valid at
    any number of looks (Ville's inequality).
    """
    evidence, look = seen.evidence, len(seen.previous) + 1
    gates = list(integrity_gates(evidence, plan, seen.integrity, look))
    estimates: tuple[Estimate, ...] = ()
    slices: tuple[Slice, ...] | UnsetType = UNSET
    beliefs: tuple[Posterior, ...] | UnsetType = UNSET
    others: tuple[Beside, ...] | UnsetType = UNSET
    if not any(gate.state == "fails" and gate.leads_to == "INVALID" for gate in gates):
        estimates = estimate(evidence, plan)
        gates += [*off_policy_gates(estimates), *blocked_gates(estimates, plan)]
        gates += size_gates(estimates, plan, seen.integrity)
        gates += hypothesis_gates(estimates, plan, seen.previous)
        if plan.combined:
            gates.append(combined_gate(estimates, plan, seen.previous))
        if isinstance(plan.slices, SlicePlan):
            slices, gate = search(seen.slices, plan)
            gates.append(gate)
        beliefs = posteriors(evidence, plan) or UNSET
        others = (*beside(evidence, plan), *alternatives(evidence, plan, seen.previous)) or UNSET
    state, deciding = deciding_gates(gates)
    return Verdict(
        state=state,
        policy=plan.policy.name,
        look=look,
        reasons=reasons_of(deciding),
        gates=tuple(gates),
        estimates=estimates,
        more_units=min(_ways(gates, estimates).values(), default=None) if state == "HOLD" else None,
        plan=plan.digest,
        evidence=evidence.digest,
        slices=slices,
        posteriors=beliefs,
        beside=others,
    )


def reasons_of(deciding: Sequence[Gate]) -> tuple[str, ...]:
    """Return what the gates that decided say, each with its name."""
    return tuple(f"{gate.name}: {gate.reason}" if gate.metric is None else gate.reason for gate in deciding)


def deciding_gates(gates: Sequence[Gate]) -> tuple[State, list[Gate]]:
    """Return the state and the gates that decided it; those that promote when all pass."""
    for state in ORDER:
        deciding = [
            gate
            for gate in gates
            if (gate.state == "fails" and gate.leads_to == state)
            or (gate.state == "waits" and state == "HOLD")
        ]
        if deciding:
            return state, deciding
    return "PROMOTE", [gate for gate in gates if gate.hypothesis not in (None, "harm")]


def _ways(gates: Sequence[Gate], estimates: Sequence[Estimate]) -> dict[State, int]:
    """Return about how many more units would decide, and for what: every gate to pass, or one harm shown."""
    gating = [each for each in estimates if each.role != "context"]
    units = min((each.units for each in gating), default=0)
    if not units:
        return {}
    tests = {(each.metric, test.hypothesis): test.more_units for each in estimates for test in each.tested}
    promote: list[int | None] = []
    for gate in gates:
        if gate.state == "waits" and gate.metric is not None:
            promote.append(tests[gate.metric, gate.hypothesis])  # type: ignore[index]  # set with `metric`
        elif gate.state == "waits" and gate.value is not None and gate.limit is not None:
            promote.append(_missing(gate, units, gating[0].unit))
        elif gate.state != "passes":
            promote.append(None)
    harm = [more for (_, hypothesis), more in tests.items() if hypothesis == "harm" and more is not None]
    needed = [more for more in promote if more is not None]
    ways: dict[State, int] = {}
    if len(needed) == len(promote) and needed:
        ways["PROMOTE"] = max(needed)
    if harm:
        ways["REJECT"] = min(harm)
    return ways


def _missing(gate: Gate, units: int, kind: str) -> int:
    assert gate.value is not None
    assert gate.limit is not None
    missing = gate.limit - gate.value
    per_unit = gate.value / units if gate.name == "decisions used" and kind != "request" else 1.0
    return rounded_up(-int(-missing // per_unit))
