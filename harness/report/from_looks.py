"""From stored looks to the points, gates and levels of the page.

`policies` orients differences so that above 0 favours the challenger. The page shows challenger minus
champion in the metric's own sign; where lower is better the ends change sign and place here, nowhere else.
"""

import math
from collections.abc import Callable, Sequence

from harness.looks import Taken
from harness.report import numbers as n
from harness.report.data import Gate, Levels, Look, Metric
from harness.report.metric_words import words
from policies.estimate import Estimate
from policies.gates import Gate as PolicyGate
from policies.metric_plan import MetricPlan
from policies.plan import Plan
from policies.rules import Hypothesis

_HYPOTHESES = {
    "superiority": "Better",
    "noninferiority": "Not worse",
    "harm": "Not harmed",
    "equivalence": "Equivalent",
}
_UNIT_GATES = frozenset({"days", "units", "decisions seen"})
SIZE_GATES = _UNIT_GATES | {"decisions used"}
_WORDS = {
    "plan": ("Plan", "the registered one", "yes", "no"),
    "counts": ("Counts", "used among matured", "yes", "no"),
    "identification": ("Identification", "by the log alone", "yes", "no"),
}
# What a noise floor without a figure says, by the state of its gate.
_UNCOMPARED = {"passes": "not re-scored", "waits": "nothing to compare", "fails": "failed when re-scored"}
_SHARES = {
    "independence": ("Repeated units", "above", "at most"),
    "coverage": ("Coverage, used of matured", "below", "at least"),
    "failed": ("Failed to score", "above", "at most"),
}


def looks_of(
    taken: Sequence[Taken],
    metric: MetricPlan,
    plan: Plan,
    *,
    claim: Hypothesis,
    naive: Callable[[Taken], float | None],
) -> tuple[Look, ...]:
    """Return the looks as points; `claim` is the hypothesis whose e-value they carry."""
    made: list[Look] = []
    wanted = -math.log(plan.policy.alpha)
    best: dict[Hypothesis, float] = {}
    for each in taken:
        found = _estimate(each, metric.name)
        logs = (
            {test.hypothesis: test.log_e for test in found.tested if test.log_e is not None} if found else {}
        )
        for hypothesis, log_e in logs.items():
            best[hypothesis] = max(log_e, best.get(hypothesis, log_e))
        difference, low, high = shown(found, metric.direction)
        made.append(
            Look(
                number=each.look.number,
                position=each.look.as_of.position,
                time=each.look.as_of.time,
                used=each.look.integrity.used,
                units=found.units if found else 0,
                difference=difference,
                low=low,
                high=high,
                state=each.look.verdict.state,
                log_e=logs.get(claim),
                noninferior=best.get("noninferiority", -math.inf) >= wanted,
                superior=best.get("superiority", -math.inf) >= wanted,
                naive_z=naive(each),
            )
        )
    return tuple(made)


def shown(found: Estimate | None, direction: str) -> tuple[float | None, float | None, float | None]:
    """Return point and interval as challenger minus champion in the metric's own sign."""
    if found is None or found.point is None:
        return None, None, None
    if direction == "higher":
        return found.point, found.low, found.high
    return -found.point, _minus(found.high), _minus(found.low)


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _estimate(taken: Taken, name: str) -> Estimate | None:
    return next((each for each in taken.look.verdict.estimates if each.metric == name), None)


def levels_of(taken: Taken, metric: MetricPlan) -> Levels | None:
    """Return both models' values at a look, None where it gave none."""
    found = _estimate(taken, metric.name)
    if found is None or found.champion is None or found.challenger is None:
        return None
    return Levels(found.champion, found.challenger)


def gates_of(taken: Taken, plan: Plan, metric: Metric) -> tuple[Gate, ...]:
    """Return every gate of a look, in the words of the page."""
    return tuple(gate_of(gate, plan, metric) for gate in taken.look.verdict.gates)


def gate_of(gate: PolicyGate, plan: Plan, metric: Metric) -> Gate:  # noqa: PLR0911 -- one return a gate
    """Return one gate in the words of the page; one that the page does not know keeps its own words."""
    if gate.metric is not None:
        return _hypothesis(gate, plan, metric)
    if gate.name in _WORDS:
        name, rule, good, bad = _WORDS[gate.name]
        return Gate(name, "data", rule, gate.state, "words", words=good if gate.state == "passes" else bad)
    if gate.name in _SHARES:
        name, worse, side = _SHARES[gate.name]
        limit = gate.limit or 0.0
        rule = f"{side} {n.percent_tight(limit)}"
        return Gate(
            name, "data", rule, gate.state, "share", "above" if worse == "above" else "below", gate.value,
            limit=gate.limit, words="nothing counted",
        )  # fmt: skip
    if gate.name in SIZE_GATES:
        return _size(gate)
    if gate.name == "looks":
        limit = round(gate.limit or 0)
        return Gate(
            "Looks", "data", f"at most {limit}", gate.state, "count", "above", gate.value, limit=limit
        )
    if gate.name == "training range":
        said = "not declared" if gate.value is None else n.count(round(gate.value))
        rule = f"before position {n.count(round(gate.limit or 0))}"
        return Gate("Challenger trained until", "data", rule, gate.state, "words", words=said)
    if gate.name == "noise floor":
        rule = f"at most {n.percent_tight(gate.limit or 0.0)} differ"
        if gate.value is None:
            return Gate("Noise floor", "data", rule, gate.state, "words", words=_UNCOMPARED[gate.state])
        return Gate("Noise floor", "data", rule, gate.state, "share", "above", gate.value, limit=gate.limit)
    return Gate(gate.name.capitalize(), "data", gate.rule, gate.state, "words", words=gate.reason)


def _size(gate: PolicyGate) -> Gate:
    value, limit = round(gate.value or 0), round(gate.limit or 0)
    name = (
        "Decisions used" if gate.name == "decisions used" else f"{gate.name.capitalize()}, matured and used"
    )
    note = f"{n.count(limit - value)} missing" if gate.state == "waits" else ""
    rule = f"at least {n.count(limit)}"
    return Gate(name, "data", rule, gate.state, "count", "below", value, limit=limit, note=note)


def gate_name(gate: PolicyGate, plan: Plan, metric: Metric) -> str:
    """Return the name that the ledger gives a gate."""
    return gate_of(gate, plan, metric).name


def _hypothesis(gate: PolicyGate, plan: Plan, metric: Metric) -> Gate:
    found = next(each for each in plan.metrics if each.name == gate.metric)
    name, difference = words(found.name)
    is_primary = difference == metric.difference
    sign = 1 if found.direction == "higher" else -1
    ends = [None if end is None else sign * end for end in (gate.low, gate.high)]
    low, high = ends if sign > 0 else (ends[1], ends[0])
    harm = gate.hypothesis == "harm"
    limit = None if gate.limit is None else sign * gate.limit + 0.0
    return Gate(
        name=_HYPOTHESES[gate.hypothesis or "superiority"] + ("" if is_primary else f": {name}"),
        group="primary" if found.role == "primary" else "guardrail",
        rule=_rule(gate, harm=harm),
        state=gate.state,
        form="difference",
        worse="above" if sign < 0 else "below",
        value=None if gate.value is None else sign * gate.value,
        low=low,
        high=high,
        limit=limit,
        decimals=metric.decimals,
        words="no value yet",
    )


def _rule(gate: PolicyGate, *, harm: bool) -> str:
    """Return what the gate reads: the e-value, with the figure that stands beside its limit."""
    needed = n.plain(gate.e_limit or 0.0, 0)
    has = "none yet" if gate.e_value is None else n.e_value(math.log(max(gate.e_value, 1e-300)))
    best = "the largest so far is" if gate.e_value is not None else "there is"
    return f"e-value below {needed}; {best} {has}" if harm else f"e-value {needed} or more; {best} {has}"
