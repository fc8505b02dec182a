"""The shipped policies are certified: 2,000 runs under each truth, and the page in docs/ is what comes out.

Where acting is wrong it must stay rarer than alpha plus three standard errors, over all looks together. The
naive paired z of the same runs is shown failing beside it.
"""

from pathlib import Path

import numpy as np
import pytest

from harness.certify.certificate import certify
from harness.certify.page import render
from harness.certify.scenarios import step_of
from harness.certify.shipped import shipped
from harness.certify.simulate import cells_of, decided
from harness.certify.text import certificate_text
from harness.certify.worlds import Assumed, world
from harness.errors import UsageError
from policies import Evidence, Look, decide, plan_from
from policies.accumulators import Moments, TernaryCounts
from policies.evidence import MetricEvidence
from policies.units import PerUnit
from tests.support.pairs import integrity

DOCS = Path(__file__).parents[2] / "docs"
PLANS = shipped()
RUNS = 2_000


@pytest.fixture(scope="module")
def certificates():
    return {name: certify(plan, assumed) for name, (plan, assumed) in PLANS.items()}


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


def test_the_page_and_the_tables_of_the_document_are_these_figures(certificates):
    tables = "\n\n".join(certificate_text(name, each) for name, each in certificates.items())
    assert f"```text\n{tables}\n```" in (DOCS / "certification.md").read_text()
    assert render(certificates) == (DOCS / "certification.html").read_text()


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
    metrics = [
        {"name": "accuracy", "threshold": 0.5, "margin": 0.02},
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
