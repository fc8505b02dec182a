"""What stands beside the gate is told as what it is, abstains by itself, and moves no verdict."""

import pytest

from harness.beside import Aside, unread
from policies import Verdict, decide, fold
from policies.errors import PlanError
from tests.support.pairs import integrity, plan, simulated

ACCURACY = {"name": "accuracy", "positive_decision": "late", "margin": 0.05}
PLANNED = {"planned_units": 4_000, "planned_variance": 0.1}
TABLE = simulated(6_000, gain=0.1)


def verdict(metric, *, table=TABLE, unit="request"):
    chosen = plan(metric, unit=unit)
    return decide(fold(table, chosen), chosen, integrity=integrity(table.num_rows))


def test_each_figure_says_what_it_may():
    found = verdict(ACCURACY | PLANNED)
    own, sequence, signs, alike = found.beside
    assert (own.method, own.validity) == ("self-normalised", "exact_if_symmetric")
    assert own.log_e > 3
    assert sequence.validity == "asymptotic"
    point = found.estimates[0].point
    assert found.estimates[0].low < sequence.low < point < sequence.high < found.estimates[0].high
    assert signs.p < 1e-6
    assert "only look" in signs.assumption
    assert alike.method == "TOST, planned once"
    assert Verdict.from_json(found.to_json()) == found


def test_it_moves_no_verdict_and_is_absent_unless_it_was_registered():
    plain, planned = verdict(ACCURACY), verdict(ACCURACY | PLANNED)
    assert (plain.state, plain.gates) == (planned.state, planned.gates)
    assert b"beside" not in plain.to_json()


@pytest.mark.parametrize("unit", ["column", "day"])
def test_the_asymptotic_sequence_abstains_with_its_reasons(unit):
    table = simulated(6_000, gain=0.1, units=50)
    sequence = verdict({"name": "brier"} | PLANNED, table=table, unit=unit).beside[1]
    assert sequence.low is sequence.high is None
    assert "1000 are needed" in sequence.reasons[0]


def test_of_single_requests_the_signs_are_not_kept():
    sequence = verdict({"name": "brier"} | PLANNED).beside[1]
    assert sequence.reasons == ("the signs of single differences are not kept",)


@pytest.mark.parametrize(
    "changes", [{"planned_units": 0}, {"planned_variance": 0.0}, {"planned_variance": -1.0}]
)
def test_a_plan_without_its_size_is_refused(changes):
    with pytest.raises(PlanError, match="planned"):
        plan(ACCURACY | PLANNED | changes)


@pytest.mark.parametrize(("role", "but"), [("guardrail", True), ("primary", True), ("context", False)])
def test_a_latency_that_gates_is_not_said_to_be_read_by_no_gate(role, but):
    aside = Aside(f"latency_over: {role}", "champion 0, challenger 1", "exact", "it is so")
    assert unread([aside]).endswith(", but that of latency_over") is but
