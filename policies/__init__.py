"""Policies: metrics, evidence and verdicts, as pure functions."""

from policies.catalogue import decide
from policies.estimate import Look, estimate
from policies.evidence import Evidence
from policies.fold import fold
from policies.integrity import Integrity
from policies.plan import Plan, plan_from
from policies.verdict import Verdict

__all__ = ["Evidence", "Integrity", "Look", "Plan", "Verdict", "decide", "estimate", "fold", "plan_from"]
