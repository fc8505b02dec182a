"""What is certified as shipped: a plan for each policy, clusters beside requests, and the procedures."""

from typing import Any

from harness.certify.counted import counted_procedures
from harness.certify.planned import planned_procedures
from harness.certify.procedures import Procedure
from harness.certify.sequences import plan_procedures
from harness.certify.worlds import Assumed
from policies.catalogue import POLICIES
from policies.plan import Plan, plan_from

PRIMARY: dict[str, Any] = {"name": "accuracy", "threshold": 0.5, "margin": 0.01}
GUARDRAIL: dict[str, Any] = {"name": "brier", "role": "guardrail", "margin": 0.005, "clip": 0.3}
_CLIPPED: dict[str, Any] = {"name": "brier", "clip": 0.15}


def shipped() -> dict[str, tuple[Plan, Assumed]]:
    """Return every certified plan by its name in the table, with what is assumed for it."""
    requests = Assumed()
    found = {
        name: (plan_from({"metrics": [PRIMARY, GUARDRAIL], "policy": {"name": name}}), requests)
        for name in POLICIES
        if name != "retraining"  # a proof compares three rivals: `make bench-retraining` tries it
    }
    two = [{**PRIMARY, "margin": None}, _CLIPPED]
    for way in ("bonferroni", "holm", "average"):
        plan = plan_from({"metrics": two, "policy": {"primaries": way}})
        found[f"promotion, one of two: {way}"] = (plan, requests)
    signs = {**PRIMARY, "margin": None, "discordant_pairs": 1_766}
    found["promotion by signs"] = (plan_from({"metrics": [signs]}), requests)
    users = Assumed(cluster=10, correlation=0.18)
    clustered = plan_from({"metrics": [_CLIPPED], "unit": {"kind": "column"}})
    found["promotion, ten decisions a user"] = (clustered, users)
    days = Assumed(cluster=800, correlation=0.01, per_look=5_600, looks=52, delay=1)
    daily = plan_from(
        {
            "metrics": [{"name": "brier", "clip": 0.03}],
            "unit": {"kind": "day", "timezone": "UTC"},
            "policy": {"grid": [16, 0.01, 0.9]},
        }
    )
    found["promotion by days, labels a week late"] = (daily, days)
    return found


def shipped_procedures() -> tuple[Procedure, ...]:
    """Return the procedures as shipped: sequences of each kind of unit, slices, counts, planned tests."""
    users, by_day = "promotion, ten decisions a user", "promotion by days, labels a week late"
    plans = shipped()
    sliced = plan_from(
        {"metrics": [{**PRIMARY, "margin": None}], "slices": {"columns": ["region"], "levels": 9}}
    )
    found: list[Procedure] = []
    for plan, assumed in (plans["promotion"], plans[users], plans[by_day]):
        found += plan_procedures(plan, assumed)
    searched = plan_procedures(sliced, Assumed(per_look=4_000, looks=40))
    found += [each for each in searched if each.name.startswith("slices")]
    return (*found, *counted_procedures(), *planned_procedures())
