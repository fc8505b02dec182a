"""The verdict: which state, for which reason, and the same bytes for the same evidence."""

import math

import msgspec
import pyarrow as pa
import pytest

from policies import Evidence, Look, Verdict, decide, fold
from policies.errors import EvidenceMismatch, PlanError
from policies.estimate import estimate
from policies.groups import GROUPED
from policies.metrics import METRICS
from policies.rules import RULES
from policies.series import unit_rows
from tests.support.pairs import integrity, paired, plan, simulated

BRIER = {"name": "brier", "margin": 0.02}
GUARD = {"name": "accuracy", "role": "guardrail", "margin": 0.05, "positive_decision": "late"}
CONTEXT = {"name": "flips", "role": "context"}
ROWS = 6_000
BETTER, SAME, WORSE = (simulated(ROWS, gain=gain) for gain in (0.1, 0.0, -0.2))


def verdict(table, chosen, previous=(), **changes):
    return decide(fold(table, chosen), chosen, integrity=integrity(ROWS, **changes), previous=previous)


def gate(found, name):
    return next(each for each in found.gates if each.name == name)


each_policy = pytest.mark.parametrize("name", RULES)
each_unit = pytest.mark.parametrize("unit", ["request", "column", "day"])


@each_policy
@each_unit
def test_every_policy_holds_on_nothing_and_shows_no_number(name, unit):
    chosen = plan(BRIER, GUARD, CONTEXT, unit=unit, name=name)
    found = decide(Evidence.empty(chosen), chosen, integrity=integrity(0, window_stop=1))
    assert found.state == "HOLD"
    assert found.reasons
    assert found.more_units is None
    for each in found.estimates:
        assert each.point is each.low is each.high is each.champion is each.challenger is None
        assert all(test.log_e is None for test in each.tested)
    assert all(each.e_value is None for each in found.gates)


@each_policy
@each_unit
def test_every_policy_gives_a_reason_for_every_gate_and_the_same_bytes_again(name, unit):
    chosen = plan(BRIER, GUARD, CONTEXT, unit=unit, name=name)
    table = simulated(ROWS, gain=0.05, units=4_000 if unit == "column" else 0)
    found = verdict(table, chosen)
    assert all(each.reason and each.rule for each in found.gates)
    assert found.to_json() == verdict(table, chosen).to_json()
    assert Verdict.from_json(found.to_json()) == found
    hypotheses = [each for each in found.gates if each.metric]
    assert all(each.validity == "exact" and each.assumption for each in hypotheses)


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_stand_in_a_verdict(metric):
    needs = {"bound": 1.0, "threshold": 0.3, "cost": [0, 1, 2, 0], "gain": [1, -1, 0, 0]}
    needs |= {"per": [1, 1, 0, 0], "reference": 0.3, "quantile": 0.5}
    needs |= {"slo_us": 100, "k": 5, "bins": 10}
    if metric == "outcome":
        needs |= {"identification": "logged_action", "weight_max": 2.0}
    others = [] if metric == "brier" else [{"name": metric, "role": "context", **needs}]
    served = BETTER.append_column("champion_latency_us", pa.array([90] * ROWS, pa.int64()))
    served = served.append_column("challenger_latency_us", pa.array([110] * ROWS, pa.int64()))
    served = served.append_column("challenger_error", pa.nulls(ROWS, pa.string()))
    served = served.append_column("propensity", pa.array([0.5] * ROWS, pa.float64()))
    chosen = plan({"name": "brier"}, *others, unit="day" if metric in GROUPED else "request")
    assert verdict(served, chosen).state in {"PROMOTE", "HOLD"}


@pytest.mark.parametrize(("table", "state"), [(BETTER, "PROMOTE"), (SAME, "HOLD"), (WORSE, "REJECT")])
def test_promotion_promotes_the_better_holds_the_same_rejects_the_worse(table, state):
    found = verdict(table, plan({"name": "brier"}, CONTEXT))
    assert found.state == state


def test_noninferiority_promotes_the_same():
    same = paired([0.3] * ROWS, [0.3] * ROWS, [0.0, 1.0] * (ROWS // 2))
    found = verdict(same, plan({"name": "brier", "margin": 0.02}, name="noninferiority"))
    assert found.state == "PROMOTE"
    assert "not worse by more than 0.02" in gate(found, "brier: noninferiority").rule


def test_a_harmed_guardrail_rejects_a_better_primary():
    flipped = BETTER.set_column(
        BETTER.column_names.index("challenger_decision"),
        "challenger_decision",
        [["on_time" if d == "late" else "late" for d in BETTER.column("champion_decision").to_pylist()]],
    )
    found = verdict(flipped, plan({"name": "brier"}, GUARD))
    assert gate(found, "brier: superiority").state == "passes"
    assert found.state == "REJECT"
    assert found.reasons[0].startswith("accuracy: e-value")


def test_an_undecided_guardrail_holds_a_better_primary():
    narrow = {**GUARD, "margin": 0.001}
    found = verdict(SAME, plan({"name": "brier"}, narrow, CONTEXT))
    assert found.state == "HOLD"
    assert gate(found, "accuracy: noninferiority").state == "waits"


@pytest.mark.parametrize(
    ("changes", "gate_name", "state"),
    [
        ({"trained_until": 1}, "training range", "INVALID"),
        ({"trained_until": None}, "training range", "HOLD"),
        ({"noise_floor": {"rows": 100, "differing_decisions": 2}}, "noise floor", "INVALID"),
        ({"noise_floor": {"rows": 100, "differing_decisions": 1}}, "noise floor", "PROMOTE"),
        ({"matured": ROWS - 1, "used": ROWS - 1}, "counts", "INVALID"),
        ({"used": ROWS // 2}, "coverage", "HOLD"),
        ({"failed": 100}, "failed", "HOLD"),
    ],
)
def test_integrity_stands_before_quality(changes, gate_name, state):
    found = verdict(BETTER, plan({"name": "brier"}), **changes)
    assert found.state == state
    assert (gate(found, gate_name).state == "passes") == (state == "PROMOTE")
    if state == "INVALID":
        assert found.estimates == ()
        assert not any(each.metric for each in found.gates)
    if state == "HOLD":
        assert found.more_units is None


def test_evidence_of_another_plan_is_invalid_and_not_estimated():
    mine, other = plan({"name": "brier"}), plan({"name": "brier"}, min_units=2)
    found = decide(fold(BETTER, other), mine, integrity=integrity(ROWS))
    assert (found.state, gate(found, "plan").state) == ("INVALID", "fails")
    with pytest.raises(EvidenceMismatch):
        estimate(fold(BETTER, other), mine)


def test_a_look_beyond_the_last_is_invalid():
    chosen = plan({"name": "brier"}, max_looks=2)
    looks = [Look(number, {}) for number in (1, 2)]
    assert verdict(BETTER, chosen, looks[:1]).state == "PROMOTE"
    assert verdict(BETTER, chosen, looks).state == "INVALID"


def test_requests_are_no_units_when_units_repeat():
    found = verdict(simulated(ROWS, gain=0.1, units=100), plan({"name": "brier"}))
    assert found.state == "INVALID"
    assert 'unit kind = "column"' in found.reasons[0]
    assert (
        verdict(
            simulated(ROWS, gain=0.1, units=1_500), plan({"name": "brier", "clip": 0.3}, unit="column")
        ).state
        == "PROMOTE"
    )


@pytest.mark.parametrize("identification", ["blocked", "logged_action"])
def test_what_the_log_cannot_say_is_not_identifiable_and_shows_no_number(identification):
    found = verdict(BETTER, plan({"name": "brier", "identification": identification}))
    assert found.state == "NOT_IDENTIFIABLE"
    assert "propensit" in found.reasons[0]
    assert found.estimates[0].point is None
    assert found.estimates[0].tested[0].log_e is None


def test_the_largest_e_value_over_looks_counts():
    chosen = plan({"name": "brier"}, unit="day")
    early = Look(1, {"brier": {"superiority": math.log(20.0)}})
    found = verdict(SAME, chosen, [early])
    assert gate(found, "brier: superiority").e_value == pytest.approx(20.0)
    assert found.state == "PROMOTE"
    harmed = Look(1, {"brier": {"superiority": 5.0, "harm": 5.0}})
    assert verdict(SAME, chosen, [harmed]).state == "REJECT"


def test_a_look_keeps_what_the_next_one_needs():
    chosen = plan(BRIER, CONTEXT)
    found = verdict(BETTER, chosen)
    look = Look.of(1, found.estimates)
    assert set(look.log_e) == {"brier"}
    assert msgspec.json.decode(msgspec.json.encode(look), type=Look) == look


def test_too_few_units_wait_and_say_how_many_more():
    chosen = plan({"name": "brier", "clip": 0.1}, unit="day", min_units=100, min_decisions=20_000)
    found = verdict(BETTER, chosen)
    assert found.state == "HOLD"
    assert any("61 of 100 days; 39 more" in reason for reason in found.reasons)
    assert found.more_units == 150  # 14,000 more decisions at about 98 a day, at two significant digits


def test_the_projection_is_kept_by_what_follows():
    chosen = plan({"name": "brier"})
    table = simulated(40_000, gain=0.05, seed=5)
    early = decide(fold(table.slice(0, 300), chosen), chosen, integrity=integrity(40_000))
    assert early.state == "HOLD"
    assert early.more_units is not None
    later = decide(
        fold(table.slice(0, 300 + 3 * early.more_units), chosen), chosen, integrity=integrity(40_000)
    )
    assert later.state == "PROMOTE"


def test_no_projection_where_more_of_the_same_will_not_decide():
    same = paired([0.3] * 500, [0.3] * 500, [0.0, 1.0] * 250)
    found = verdict(same, plan({"name": "brier"}))
    assert (found.state, found.more_units) == ("HOLD", None)
    assert "More of the same will not show it." in found.reasons[0]


def test_the_projection_names_the_verdict_that_it_leads_to():
    chosen = plan(BRIER, min_units=1)
    up, down = (verdict(simulated(400, gain=gain), chosen) for gain in (0.03, -0.1))
    assert (up.state, up.more_leads_to) == ("HOLD", "PROMOTE")
    assert (down.state, down.more_leads_to) == ("HOLD", "REJECT")
    assert "More of the same will not show it." in down.reasons[-1]
    assert verdict(BETTER, chosen).more_leads_to is None


def test_a_reason_says_when_its_e_value_is_of_an_earlier_look():
    chosen = plan({"name": "brier"}, min_units=1)
    before = Look(1, {"brier": {"superiority": math.log(7.5)}})
    now = verdict(SAME, chosen)
    later = verdict(SAME, chosen, [before])
    assert "brier: e-value" in now.reasons[-1]
    assert "brier: largest e-value 7.5 of 20" in later.reasons[-1]


def test_one_unit_is_an_estimate_and_no_verdict():
    found = verdict(paired([0.9], [0.1], [0.0]), plan({"name": "brier"}))
    only = found.estimates[0]
    assert (found.state, only.units, only.low) == ("HOLD", 1, -1.0)
    assert only.high == 1.0


def test_sequences_are_nested_in_alpha_and_hold_the_point():
    for unit in ("request", "day"):
        wide, narrow = (
            estimate(fold(BETTER, chosen), chosen)[0]
            for chosen in (plan({"name": "brier"}, unit=unit, alpha=alpha) for alpha in (0.01, 0.2))
        )
        assert wide.low < narrow.low < narrow.point < narrow.high < wide.high


def test_swapping_the_models_mirrors_the_estimate():
    chosen = plan({"name": "brier"})
    names = BETTER.column_names
    order = [
        n.replace("champion", "x").replace("challenger", "champion").replace("x", "challenger") for n in names
    ]
    swapped = BETTER.rename_columns(order)
    mine, theirs = (estimate(fold(t, chosen), chosen)[0] for t in (BETTER, swapped))
    assert (mine.point, mine.low, mine.high) == (-theirs.point, -theirs.high, -theirs.low)
    assert mine.tested[0].log_e == theirs.tested[1].log_e


def test_the_days_behind_a_verdict_add_up_to_its_point():
    chosen = plan({"name": "brier", "clip": 0.02}, unit="day")
    evidence = fold(BETTER, chosen)
    days = unit_rows(evidence, chosen, "brier")
    assert [days[0].name, days[-1].name] == ["1969-12-31", "1970-03-01"]
    assert sum(day.decisions for day in days) == ROWS
    assert sum(day.difference for day in days) / len(days) == pytest.approx(
        estimate(evidence, chosen)[0].point
    )
    for day in days:
        wanted = max(-0.02, min(0.02, day.champion - day.challenger))
        assert day.difference == pytest.approx(wanted, abs=2 / chosen.scale)
    assert unit_rows(fold(BETTER, plan()), plan(), "brier") == []


def test_scores_that_move_too_far_are_a_broken_noise_floor_where_the_plan_says_so():
    floor = {"rows": 100, "decisions_compared": 0, "differing_decisions": 0, "max_abs_difference": 0.01}
    shown, gated = plan({"name": "brier"}), plan({"name": "brier"}, max_noise_difference=1e-9)
    assert verdict(BETTER, shown, noise_floor=floor).state == "PROMOTE"
    assert verdict(BETTER, gated, noise_floor=floor).state == "INVALID"


SCORES_ONLY = {
    "rows": 400,
    "failed": 0,
    "unscored": 0,
    "decisions_compared": 0,
    "differing_decisions": 0,
    "differing_scores": 0,
    "max_abs_difference": 0.0,
}


@pytest.mark.parametrize(
    ("changes", "tolerance", "state", "share"),
    [
        ({}, None, "passes", 0.0),
        ({"differing_scores": 4, "max_abs_difference": 0.9}, None, "passes", 0.01),
        ({"differing_scores": 400, "max_abs_difference": 0.9}, None, "fails", 1.0),
        ({"differing_scores": 400, "max_abs_difference": 1e-16}, 1e-12, "passes", 0.0),
        ({"differing_scores": 1, "max_abs_difference": 0.9}, 1e-12, "fails", 0.0025),
        ({"differing_scores": 5, "unscored": 300, "max_abs_difference": 0.9}, None, "fails", 0.05),
        ({"unscored": 400}, None, "waits", None),
        ({"rows": 0, "failed": 400}, None, "fails", None),
        ({"rows": 0, "failed": 0}, None, "passes", None),
        ({"error": "ValueError: no"}, None, "fails", None),
    ],
)
def test_without_decision_text_the_noise_floor_reads_the_scores(changes, tolerance, state, share):
    chosen = plan({"name": "brier"}, max_noise_difference=tolerance)
    found = gate(verdict(BETTER, chosen, noise_floor=SCORES_ONLY | changes), "noise floor")
    assert (found.state, found.value) == (state, share)
    assert "0 of 0" not in found.reason


def test_a_champion_whose_scores_are_chance_is_no_verdict_on_quality():
    floor = SCORES_ONLY | {"differing_scores": 400, "max_abs_difference": 0.9}
    found = verdict(BETTER, plan({"name": "brier"}), noise_floor=floor)
    assert found.state == "INVALID"
    assert "400 of 400 scores differ" in found.reasons[0]


def test_a_champion_that_raises_when_scored_again_is_named_as_that():
    floor = SCORES_ONLY | {"rows": 0, "failed": 400, "error": "ValueError: no such level"}
    found = verdict(BETTER, plan({"name": "brier"}), noise_floor=floor)
    assert found.state == "INVALID"
    said = "Scored again, the champion failed on 400 of its own snapshots: ValueError: no such level."
    assert found.reasons == (f"noise floor: {said}",)


LIKE = {"name": "brier", "margin": 0.03, "clip": 0.5}


def test_equivalence_promotes_what_is_alike_holds_on_little_and_rejects_what_is_worse():
    chosen = plan(LIKE, name="equivalence")
    assert verdict(SAME, chosen).state == "PROMOTE"
    assert verdict(WORSE, chosen).state == "REJECT"
    assert verdict(SAME.slice(0, 50), chosen).state == "HOLD"
    found = gate(verdict(SAME, chosen), "brier: equivalence")
    assert "neither better nor worse by more than 0.03" in found.rule


def test_equivalence_is_the_weaker_of_both_sides_and_never_shown_for_a_better_challenger():
    both = plan(
        {**LIKE, "margin": 0.005, "hypotheses": ["equivalence", "noninferiority"]}, name="equivalence"
    )
    tests = {test.hypothesis: test for test in estimate(fold(BETTER, both), both)[0].tested}
    assert tests["equivalence"].log_e < 0 < tests["noninferiority"].log_e
    assert tests["equivalence"].more_units is None


def test_equivalence_needs_a_margin():
    with pytest.raises(PlanError, match="margin"):
        plan({"name": "brier"}, name="equivalence")
