"""Every policy of the catalogue, found the moment it exists: pure, deterministic, careful, with reasons."""

import math

import pytest

from policies import Evidence, Look, Verdict, decide, fold
from policies.catalogue import POLICIES
from policies.multiplicity import average
from policies.rules import RULES
from tests.support.pairs import integrity, plan, simulated

BRIER = {"name": "brier", "margin": 0.02}
GUARD = {"name": "accuracy", "role": "guardrail", "margin": 0.05, "positive_decision": "late"}
ROWS = 6_000
BETTER, SAME, WORSE = (simulated(ROWS, gain=gain) for gain in (0.1, 0.0, -0.2))

each_policy = pytest.mark.parametrize("name", POLICIES)


def seen(table, chosen, previous=(), **changes):
    return decide(fold(table, chosen), chosen, integrity=integrity(ROWS, **changes), previous=previous)


def test_the_catalogue_has_a_sentence_for_each_policy():
    assert POLICIES.keys() == RULES.keys()
    assert all(rule.name == name and rule.sentence.endswith(".") for name, rule in RULES.items())


@each_policy
def test_it_holds_on_nothing(name):
    chosen = plan(BRIER, GUARD, name=name)
    found = decide(Evidence.empty(chosen), chosen, integrity=integrity(0, window_stop=1))
    assert found.state == "HOLD"
    assert found.reasons


@each_policy
@pytest.mark.parametrize("table", [BETTER, SAME, WORSE], ids=["better", "same", "worse"])
def test_the_same_evidence_gives_the_same_bytes_and_every_gate_its_reason(name, table):
    chosen = plan(BRIER, GUARD, name=name)
    evidence, counted = fold(table, chosen), integrity(ROWS)
    found = decide(evidence, chosen, integrity=counted)
    kept = (evidence.to_json(), chosen.to_json(), counted)
    assert decide(evidence, chosen, integrity=counted).to_json() == found.to_json()
    assert (evidence.to_json(), chosen.to_json(), counted) == kept
    assert Verdict.from_json(found.to_json()) == found
    assert all(gate.rule and gate.reason for gate in found.gates)
    assert found.reasons


@each_policy
def test_the_order_of_earlier_looks_changes_nothing(name):
    chosen = plan(BRIER, GUARD, name=name)
    looks = [Look(1, {"brier": {"harm": 0.5}}), Look(2, {"brier": {"harm": 1.5}})]
    assert seen(SAME, chosen, looks).to_json() == seen(SAME, chosen, looks[::-1]).to_json()


@each_policy
def test_no_policy_acts_on_figures_that_may_not_be_read(name):
    found = seen(BETTER, plan(BRIER, GUARD, name=name), trained_until=1)
    assert found.state == "INVALID"
    assert found.estimates == ()


def test_rollback_promotes_the_earlier_model_on_one_metric_that_is_enough():
    chosen = plan(BRIER, GUARD, name="rollback")
    assert chosen.combination == "bonferroni"
    found = seen(simulated(ROWS, gain=0.2), chosen)
    assert found.state == "PROMOTE"
    assert "Shown on" in found.reasons[0]
    assert seen(SAME, chosen).state == "HOLD"
    assert seen(WORSE, chosen).state == "HOLD"  # the live model is better: nothing to roll back


def test_rollback_asks_for_more_than_the_margin():
    slight = simulated(ROWS, gain=0.05)
    assert seen(slight, plan({"name": "brier"}, name="rollback")).state == "PROMOTE"
    assert seen(slight, plan({"name": "brier", "margin": 0.05}, name="rollback")).state == "HOLD"


TWO = ({"name": "brier"}, {"name": "absolute_error", "bound": 1.0})


def gate(found, name="one of 2"):
    return next(each for each in found.gates if each.name == name)


@pytest.mark.parametrize("way", ["bonferroni", "holm", "average"])
def test_one_primary_of_several_is_enough_at_a_corrected_level(way):
    chosen = plan(*TWO, primaries=way)
    found = seen(BETTER, chosen)
    assert found.state == "PROMOTE"
    assert gate(found).e_limit == (20.0 if way == "average" else 40.0)
    assert not any(each.metric and each.hypothesis == "superiority" for each in found.gates)
    held = seen(SAME, chosen)
    assert (held.state, gate(held).state) == ("HOLD", "waits")


def test_holm_names_more_than_bonferroni():
    looks = [
        Look(1, {"brier": {"superiority": math.log(41)}, "absolute_error": {"superiority": math.log(25)}})
    ]
    named = {way: gate(seen(SAME, plan(*TWO, primaries=way), looks)).reason for way in ("bonferroni", "holm")}
    assert named["bonferroni"].endswith("Shown on brier.")
    assert named["holm"].endswith("Shown on brier, absolute_error.")


def test_an_average_is_taken_look_by_look_and_never_over_the_largest():
    one, other = {"brier": {"superiority": math.log(30)}}, {"absolute_error": {"superiority": math.log(30)}}
    chosen = plan(*TWO, primaries="average")
    found = gate(seen(SAME, chosen, [Look(1, one), Look(2, other)]))
    assert found.state == "waits"  # the mean of the largest would be 30
    best = math.exp(average({"brier": math.log(30), "absolute_error": 0.0}))
    assert found.e_value == pytest.approx(best)


def test_plans_without_the_later_keys_keep_their_digests():
    chosen = plan({"name": "brier"}).to_json()
    assert not any(word in chosen for word in (b"primaries", b"slices", b"prior"))
    found = seen(BETTER, plan({"name": "brier"})).to_json()
    assert not any(word in found for word in (b"slices", b"posteriors", b"diagnosis", b"action"))


def test_a_posterior_is_shown_and_gates_nothing():
    with_, without = (seen(BETTER, plan({"name": "brier"} | extra)) for extra in ({"prior": 0.01}, {}))
    assert [gate.state for gate in with_.gates] == [gate.state for gate in without.gates]
    (belief,) = with_.posteriors
    assert belief.validity == "report_only"
    assert belief.better > 0.99
    assert belief.low < belief.mean < belief.high
    nothing = decide(
        Evidence.empty(chosen := plan({"name": "brier", "prior": 0.01})),
        chosen,
        integrity=integrity(0, window_stop=1),
    )
    assert (nothing.posteriors[0].mean, nothing.posteriors[0].spread, nothing.posteriors[0].better) == (
        0.0,
        0.01,
        0.5,
    )
