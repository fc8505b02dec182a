"""The catalogue of policies: a policy is a pure function from what a look saw to a verdict.

An experiment names its policy in TOML, and `decide` finds it here. The checks run every policy of the
catalogue (tests/unit/test_catalogue.py): it is pure and deterministic, holds on nothing, and gives a reason
for every gate.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from policies.estimate import Look
from policies.evidence import Evidence
from policies.integrity import Integrity
from policies.plan import Plan
from policies.retrained import retrained
from policies.seen import Rivalry, Seen
from policies.verdict import Verdict, gated


class Policy(Protocol):
    """A rule from what was seen to a verdict. The same inputs give the same bytes."""

    def __call__(self, seen: Seen, plan: Plan) -> Verdict:
        """Return the verdict of a look under this plan."""


POLICIES: dict[str, Policy] = {
    "promotion": gated,
    "noninferiority": gated,
    "equivalence": gated,
    "rollback": gated,
    "retraining": retrained,
}


def decide(
    evidence: Evidence,
    plan: Plan,
    *,
    integrity: Integrity,
    previous: Sequence[Look] = (),
    slices: Mapping[str, Evidence] | None = None,
    rivalry: Rivalry | None = None,
) -> Verdict:
    """Return the verdict of a look by the policy that the plan names."""
    return POLICIES[plan.policy.name](Seen(evidence, integrity, previous, slices or {}, rivalry), plan)
