"""One of several metrics is enough: a gate at a level that is corrected for their number.

All of it holds under any dependence of the metrics and over all looks. `bonferroni`: one e-value reaches
m/alpha. `holm`: the same, and the next ones are named at (m-1)/alpha and so on. `average`: the mean of the
e-values reaches 1/alpha, which tells that something is there and not which.
"""

import math
from collections.abc import Sequence

from policies.estimate import Estimate, Look, Tested
from policies.figures import tidy
from policies.gates import Gate, claim, e_value
from policies.multiplicity import average, bonferroni, holm
from policies.plan import Plan
from policies.rules import RULES


def combined_gate(estimates: Sequence[Estimate], plan: Plan, previous: Sequence[Look]) -> Gate:
    """Return the gate over the metrics of which one is enough.

    The largest e-value of each metric over all looks counts (Ville). A mean is taken per look, since the
    mean of the largest is no e-value.
    """
    tests = _tests(estimates, plan)
    alpha, way = plan.policy.alpha, plan.combination
    logs = [{name: test.log_e for name, test in tests.items()}]
    logs += [
        {name: look.log_e.get(name, {}).get(test.hypothesis) for name, test in tests.items()}
        for look in previous
    ]
    seen = [{name: log or 0.0 for name, log in look.items()} for look in logs]
    largest = {name: max(look[name] for look in seen) for name in tests}
    if way == "average":
        reached, limit = max(average(look) for look in seen), 1.0 / alpha
        shown = tuple(tests) if reached >= math.log(limit) else ()
    else:
        reached, limit = max(largest.values()), len(tests) / alpha
        shown = (holm if way == "holm" else bonferroni)(largest, alpha)
    nothing = all(log is None for look in logs for log in look.values())
    said = " or ".join(f"{name}: {claim(test)}" for name, test in tests.items())
    return Gate(
        name=f"one of {len(tests)}",
        rule=f"{_RULES[way]} reaches {limit:.6g}, for the challenger on {said}",
        state="passes" if shown else "waits",
        e_value=None if nothing else e_value(reached),
        e_limit=tidy(limit),
        assumption=next(iter(tests.values())).assumption,
        hypothesis=RULES[plan.policy.name].promotes_on,
        reason=_why(largest, shown, way) if not nothing else "Nothing has matured yet.",
    )


_RULES = {
    "bonferroni": "the largest e-value",
    "holm": "the largest e-value",
    "average": "the mean e-value",
}


def _tests(estimates: Sequence[Estimate], plan: Plan) -> dict[str, Tested]:
    """Return the promoting hypothesis of each combined metric."""
    rule = RULES[plan.policy.name]
    wanted = {metric.name: rule.hypotheses(metric.role)[0] for metric in plan.combined}
    return {
        each.metric: next(test for test in each.tested if test.hypothesis == wanted[each.metric])
        for each in estimates
        if each.metric in wanted
    }


def _why(largest: dict[str, float], shown: tuple[str, ...], way: str) -> str:
    figures = ", ".join(f"{name} {e_value(log):.3g}" for name, log in largest.items())
    if way == "average":
        told = "Together they show it." if shown else "Together they do not show it yet."
    else:
        told = f"Shown on {', '.join(shown)}." if shown else "Shown on none yet."
    return f"Largest e-values: {figures}. {told}"
