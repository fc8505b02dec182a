"""The shipped policies are certified: 2,000 runs under each truth, and the page in docs/ is what comes out.

Where acting is wrong it must stay rarer than alpha plus three standard errors, over all looks together. The
naive paired z of the same runs is shown failing beside it.
"""

import math
from pathlib import Path

import numpy as np
import pytest

from harness.certify.certificate import certify
from harness.certify.page import render
from harness.certify.procedures import Asked, Measured, judged, procedures_text
from harness.certify.registered import not_certified
from harness.certify.scenarios import step_of
from harness.certify.sequences import first_wrong, named_by_e_bh, outside, plan_procedures
from harness.certify.shipped import shipped, shipped_procedures
from harness.certify.simulate import cells_of, decided, log_mean
from harness.certify.text import certificate_text
from harness.certify.worlds import Assumed, world
from harness.errors import UsageError
from policies import Evidence, Look, decide, plan_from
from policies.accumulators import Moments, TernaryCounts
from policies.completeness import completeness, excess_capital, ratio_mismatch
from policies.evalues import share_mismatches
from policies.evidence import MetricEvidence
from policies.multiplicity import worst_slices
from policies.sample import sample_of
from policies.units import PerUnit
from tests.support.pairs import integrity

DOCS = Path(__file__).parents[2] / "docs"
PLANS = shipped()
RUNS = 2_000


@pytest.fixture(scope="module")
def certificates():
    return {name: certify(plan, assumed) for name, (plan, assumed) in PLANS.items()}


@pytest.fixture(scope="module")
def procedures():
    return shipped_procedures()


@pytest.mark.parametrize("name", PLANS)
def test_it_is_wrong_at_most_alpha_of_the_time_and_finds_what_is_there(name, certificates):
    found = certificates[name]
    assert found.assumed.runs >= RUNS
    assert found.invalid is None
    for each in found.tried:
        assert each.holds is not False, each
    assert next(each for each in found.tried if each.right_is == "PROMOTE").promoted >= 0.7


@pytest.mark.parametrize("name", PLANS)
def test_the_naive_test_beside_it_fails(name, certificates):
    wrong = [each for each in certificates[name].tried if each.wrong_is == "PROMOTE" and each.limit]
    assert max(each.naive for each in wrong) > 0.25


def test_every_procedure_holds_its_limit_and_what_is_naive_beside_it_does_not(procedures):
    for each in procedures:
        assert each.runs >= RUNS
        assert each.holds, each
        assert each.naive > each.limit + each.tolerance, each
    kinds = {each.name.partition(",")[0].partition(" by")[0] for each in procedures}
    assert {"slices", "sequence of a p99", "group-sequential", "DeLong", "Wilson", "TOST"} <= kinds
    assert {each.name for each in procedures if each.validity == "asymptotic" and not each.planned} == set()


def test_a_procedure_beyond_its_limit_is_found():
    asked = Asked("x", "wrong", 0.05, "nothing")
    assert not judged(asked, Measured(0.0647, None), runs=2_000, looks=1).holds
    broken = judged(asked, Measured(0.2, None), runs=2_000, looks=1)
    assert "A procedure exceeds its limit." in procedures_text((broken,))


def test_the_page_and_the_tables_of_the_document_are_these_figures(certificates, procedures):
    tables = [certificate_text(name, each) for name, each in certificates.items()]
    text = "\n\n".join([*tables, procedures_text(procedures)])
    assert f"```text\n{text}\n```" in (DOCS / "certification.md").read_text()
    assert render(certificates, procedures) == (DOCS / "certification.html").read_text()


def test_the_slices_that_are_named_are_those_of_the_policy():
    logs = np.random.default_rng(3).normal(2.5, 2.0, size=(7, 40, 3))
    named = named_by_e_bh(logs, 0.05)
    assert named.any()
    for run, look in np.ndindex(40, 3):
        said = worst_slices({str(k): logs[k, run, look] for k in range(7)}, 0.05)
        assert {str(k) for k in np.flatnonzero(named[:, run, look])} == set(said)
    only = np.zeros((3, 1, 2), dtype=bool)
    only[:, 0, 1] = [True, True, False]
    assert first_wrong(only, 1).tolist() == [0.5]


@pytest.mark.parametrize("unit", ["request", "day"])
def test_what_a_sequence_leaves_out_is_what_the_estimate_does(unit):
    where = {"kind": unit} | ({"timezone": "UTC"} if unit == "day" else {})
    plan = plan_from({"metrics": [{"name": "brier", "clip": 0.3}], "unit": where, "policy": {"alpha": 0.4}})
    assumed, metric, seen = Assumed(per_look=40, discordance=0.5), plan.metrics[0], set()
    chosen = world(0.03, assumed, clip=0.3, step=0.2)
    better = world(0.12, assumed, clip=0.3, step=0.2)  # so that some leave out what `chosen` has for true
    counts = cells_of(better, 40, 6, 30, np.random.default_rng(8))
    assert chosen.values.tolist() == better.values.tolist()
    found = outside(plan, metric, chosen, counts)
    for run, look in np.ndindex(30, 6):
        kept = evidence_of(plan, {"brier": (chosen, counts)}, run, look).metrics["brier"]
        sample, half = sample_of(kept, metric, plan), plan.policy.alpha / 2
        low, high = 0.3 * sample.lower(half), -0.3 * sample.lower(half, swapped=True)
        assert found[run, look] == (not low <= chosen.mean <= high)
        seen.add(bool(found[run, look]))
    assert seen == {True, False}


def test_a_plan_with_slices_has_them_certified():
    plan = plan_from({"metrics": [{"name": "brier"}], "slices": {"columns": ["a"], "levels": 2}})
    found = list(plan_procedures(plan, Assumed(runs=60, looks=5)))
    assert [each.name for each in found] == [
        "sequence of brier, request",
        "slices by e-BH, 0 of 3 harmed",
        "slices by e-BH, 3 of 3 harmed",
    ]


def test_what_a_plan_registers_is_certified_or_named_with_the_reason():
    signs = {
        "name": "accuracy",
        "positive_decision": "x",
        "margin": 0.05,
        "planned": ["mcnemar", "tost", "pocock", "wilson"],
        "planned_units": 1_200,
    }
    graded = {"name": "brier", "quantiles": [0.9], "covariates": ["x"], "covariate_means": [0.0]}
    plan = plan_from(
        {
            "metrics": [signs, {**graded, "planned_units": 100, "planned": ["obrien-fleming"]}],
            "arms": {"feature": "arm", "levels": ["a", "b", "c"], "shares": [0.5, 0.3, 0.2], "alpha": 0.05},
            "completeness": {"levels": ["x"], "limit": 0.05, "alpha": 0.05},
        }
    )
    assumed = Assumed(runs=300, looks=5)
    found = {each.name: each for each in plan_procedures(plan, assumed)}
    assert list(found)[2:] == [
        "pocock of accuracy",
        "shares of arms by arm",
        "completeness of pairs, 2 cells",
        "exact McNemar of accuracy",
        "TOST of accuracy",
        "quantile 0.9 of brier",
    ]
    assert all(each.holds for each in found.values())
    fooled = [each.name for each in found.values() if each.naive <= each.limit + each.tolerance]
    assert set(fooled) <= {"exact McNemar of accuracy", "TOST of accuracy"}
    left = not_certified(plan, assumed)
    assert [each.partition(":")[0] for each in left] == [
        "wilson of accuracy",
        "obrien-fleming of brier",
        "brier adjusted",
    ]
    assert "Not certified: brier adjusted" in render({}, tuple(found.values()), left)


def test_arms_and_pairs_of_many_runs_are_those_of_the_gates():
    rng = np.random.default_rng(4)
    shares = {"a": 0.5, "b": 0.3, "c": 0.2}
    came = rng.multinomial(900, [0.45, 0.33, 0.22], 50)
    logs = share_mismatches(came, list(shares.values()))
    one_by_one = [ratio_mismatch(dict(zip(shares, row, strict=True)), shares) for row in came.tolist()]
    assert logs.tolist() == pytest.approx(one_by_one, abs=1e-9)
    missing = rng.binomial(400, 0.07, (50, 3))
    log_e = log_mean(excess_capital(missing, np.array(400), 0.05), axis=-1)
    for row, found in zip(missing.tolist(), log_e, strict=True):
        tested = completeness({str(k): (n, 400) for k, n in enumerate(row)}, limit=0.05, alpha=0.05)
        assert list(tested.log_e.values()) == pytest.approx(found.tolist(), abs=1e-9)
        assert bool(tested.broken) == (found.max() >= math.log(3 / 0.05))


@pytest.mark.parametrize(
    "metric",
    [
        {"name": "outcome", "bound": 1.0, "identification": "logged_action", "weight_max": 9.0},
        {"name": "brier", "identification": "blocked", "blocked_decision": "x", "effect": 0.01},
    ],
)
def test_what_the_log_hides_is_not_certified_as_if_it_were_seen(metric):
    with pytest.raises(UsageError, match=metric["identification"]):
        certify(plan_from({"metrics": [metric]}), Assumed(runs=10))


def evidence_of(plan, seen, run, look):
    """The evidence of a run at a look, as a fold would have made it."""
    metrics = {}
    for metric in plan.metrics:
        chosen, counts = seen[metric.name]
        units = np.rint(np.repeat(chosen.values, counts[run, look]) * plan.scale).astype(np.int64)
        sign = 1 if metric.kind.direction == "higher" else -1
        live = np.full_like(units, plan.scale)
        request = plan.unit.kind == "request"
        metrics[metric.name] = MetricEvidence(
            rows=units.size,
            used=units.size,
            reasons={},
            outside=0,
            clipped=0,
            champion=0,
            challenger=0,
            moments=Moments.of(units) if request else Moments.empty(),
            ternary=TernaryCounts.of(units) if request and metric.kind.ternary else TernaryCounts.empty(),
            units=PerUnit.empty()
            if request
            else PerUnit.of(np.arange(units.size), live, live + sign * units),
        )
    rows = max(each.rows for each in metrics.values())
    return Evidence(plan.digest, plan.scale, rows, metrics, Evidence.empty(plan).repeats)


@pytest.mark.parametrize("unit", ["request", "day"])
@pytest.mark.parametrize("policy", ["promotion", "noninferiority", "equivalence", "rollback"])
def test_the_simulated_verdicts_are_those_of_the_policy_itself(policy, unit):
    where = {"kind": unit} | ({"timezone": "UTC"} if unit == "day" else {})
    accuracy = {"name": "accuracy", "threshold": 0.5}
    signs = policy == "promotion" and unit == "request"
    metrics = [
        accuracy | ({"discordant_pairs": 300} if signs else {"margin": 0.02}),
        {"name": "brier", "role": "guardrail", "margin": 0.02, "clip": 0.3},
    ]
    plan = plan_from({"metrics": metrics, "unit": where, "policy": {"name": policy, "min_units": 500}})
    assumed, looks, runs = Assumed(per_look=250, cluster=1), 12, 3
    for mean in (0.02, 0.0, -0.02):
        rng, seen = np.random.default_rng(round(1e3 * mean) + 99), {}
        for metric in plan.metrics:
            step, clip = step_of(metric, plan, assumed), plan.clip(metric.name)
            chosen = world(mean, assumed, clip=clip, step=step)
            seen[metric.name] = (chosen, cells_of(chosen, assumed.per_look, looks, runs, rng))
        ends = decided(plan, seen, assumed)
        for run in range(runs):
            states, previous = [], []
            for look in range(looks):
                evidence = evidence_of(plan, seen, run, look)
                verdict = decide(evidence, plan, integrity=integrity(evidence.rows), previous=previous)
                previous.append(Look.of(look + 1, verdict.estimates))
                states.append(verdict.state)
                if verdict.state in ("PROMOTE", "REJECT"):
                    break
            final = states[-1]
            assert int(ends.promoted[run]) == (len(states) if final == "PROMOTE" else 0)
            assert int(ends.rejected[run]) == (len(states) if final == "REJECT" else 0)


@pytest.mark.parametrize("mean", [0.0, 0.004, -0.03])
@pytest.mark.parametrize("assumed", [Assumed(), Assumed(cluster=7), Assumed(cluster=800, per_look=800)])
@pytest.mark.parametrize("kind", ["usual", "rare"])
def test_a_world_has_exactly_its_mean(mean, assumed, kind):
    found = world(mean, assumed, clip=0.3, step=0.2, kind=kind)
    assert found.mean == pytest.approx(mean, abs=1e-12)
    assert found.chances.sum() == pytest.approx(1.0)
    assert np.abs(found.values).max() <= 0.3


def test_decisions_that_repeat_their_unit_are_no_units():
    plan = plan_from({"metrics": [{"name": "brier", "clip": 0.3}]})
    found = certify(plan, Assumed(cluster=10, runs=50, looks=10))
    assert "INVALID" in found.invalid
    assert all(each.promoted == each.rejected == 0.0 for each in found.tried)


def test_labels_that_come_later_move_the_verdict_and_no_error_rate():
    plan = plan_from({"metrics": [{"name": "accuracy", "threshold": 0.5}]})
    soon, late = (
        certify(plan, Assumed(runs=200, looks=60, delay=delay, effect=0.03)).tried[1] for delay in (0, 10)
    )
    assert late.looks == pytest.approx(soon.looks + 10, abs=2)
    assert late.promoted == pytest.approx(soon.promoted, abs=0.05)


@pytest.mark.parametrize(
    "wrong",
    [
        {"discordance": 0.0},
        {"discordance": 1.5},
        {"runs": 0},
        {"per_look": 5, "cluster": 500},
        {"looks": 5, "delay": 5},
        {"effect": -1.0},
        {"size": float("nan")},
    ],
)
def test_what_cannot_be_assumed_is_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong)).replace("_", "-")):
        Assumed(**wrong)


def test_an_effect_that_cannot_occur_is_refused():
    plan = plan_from({"metrics": [{"name": "brier"}]})
    with pytest.raises(UsageError, match="--size"):
        certify(plan, Assumed(effect=0.9, runs=10))
