"""The plan: one canonical form, and every key that is wrong is named with its remedy."""

import pytest

from policies import Plan, plan_from
from policies.errors import PlanError
from policies.metrics import METRICS
from policies.plan import HYPOTHESES
from policies.rules import RULES
from tests.support.pairs import plan

ACCURACY = {"name": "accuracy", "threshold": 0.5}


def test_the_canonical_form_is_stable_and_comes_back():
    declared = plan(
        {"name": "brier", "clip": 0.1}, {**ACCURACY, "role": "guardrail", "margin": 0.01}, unit="day"
    )
    assert Plan.from_json(declared.to_json()) == declared
    assert Plan.from_json(declared.to_json()).digest == declared.digest
    assert b'"hypotheses":["noninferiority","harm"]' in declared.to_json()


def test_whole_numbers_and_defaults_written_out_are_the_same_plan():
    short = plan_from({"metrics": [{"name": "brier", "clip": 1}]})
    long = plan_from(
        {
            "metrics": [
                {"name": "brier", "clip": 1.0, "direction": "lower", "hypotheses": ["harm", "superiority"]}
            ]
        }
    )
    assert short.digest == long.digest


@pytest.mark.parametrize(
    ("changes", "key", "says"),
    [
        ({"metrics": [{"name": "brie"}]}, "metrics.name", "brier"),
        ({"metrics": [{"name": "brier", "clp": 1}]}, "metrics.clp", '"clip"'),
        ({"polcy": {}}, "polcy", '"policy"'),
        ({"policy": {"min_unit": 3}}, "policy.min_unit", '"min_units"'),
        ({"unit": {"timezon": "x"}}, "unit.timezon", '"timezone"'),
        ({"metrics": []}, "metrics", "primary"),
        ({"metrics": [{"name": "flips", "role": "context"}]}, "metrics", "primary"),
        ({"metrics": [{"name": "brier"}, {"name": "brier"}]}, "metrics", "once"),
        ({"metrics": [{"name": "brier", "direction": "higher"}]}, "metrics.brier.direction", "lower"),
        ({"metrics": [{"name": "brier", "clip": 2.0}]}, "metrics.brier.clip", "1.0"),
        ({"metrics": [{"name": "brier", "clip": 0.0}]}, "metrics.brier.clip", "above 0"),
        ({"metrics": [{"name": "brier", "clip": float("nan")}]}, "metrics.brier.clip", "above 0"),
        ({"metrics": [{"name": "brier", "clip": 0.1, "margin": 0.1}]}, "metrics.brier.margin", "0.1"),
        ({"metrics": [{"name": "brier", "hypotheses": ["harm"]}]}, "metrics.brier.hypotheses", "superiority"),
        (
            {"metrics": [{"name": "brier"}, {**ACCURACY, "role": "guardrail"}]},
            "metrics.accuracy.margin",
            "margin",
        ),
        ({"policy": {"name": "noninferiority"}}, "metrics.brier.margin", "margin"),
        ({"policy": {"name": "promote"}}, "policy.name", "promotion"),
        ({"policy": {"alpha": 0.0}}, "policy.alpha", "0.5"),
        ({"policy": {"alpha": float("nan")}}, "policy.alpha", "0.5"),
        ({"policy": {"min_units": 0}}, "policy.min_units", "at least 1"),
        ({"policy": {"min_coverage": 1.1}}, "policy.min_coverage", "share"),
        ({"policy": {"grid": [0, 0.1, 0.2]}}, "policy.grid.size", "64"),
        ({"policy": {"grid": [16, 0.3, 0.2]}}, "policy.grid.low", "0.2"),
        ({"policy": {"grid": [16, 0.1, 1.0]}}, "policy.grid.high", "below 1.0"),
        ({"unit": {"kind": "day"}}, "unit.timezone", "day"),
        ({"unit": {"timezone": "UTC"}}, "unit.timezone", "day"),
        ({"unit": {"kind": "day", "timezone": "Mars/Olympus"}}, "unit.timezone", "America/New_York"),
        ({"scale": 1000}, "scale", "power of two"),
        (
            {"metrics": [{"name": "absolute_error", "bound": 1e9}]},
            "scale with metrics.absolute_error",
            "2**40",
        ),
        ({"policy": {"alpha": "high"}}, "the plan", "float"),
    ],
)
def test_what_cannot_be_registered_is_named_with_its_remedy(changes, key, says):
    with pytest.raises(PlanError) as refused:
        plan_from({"metrics": [{"name": "brier"}], **changes})
    assert refused.value.key == key
    assert says in str(refused.value)
    assert refused.value.exit_code == 2


def test_the_catalogues_name_known_hypotheses_and_directions():
    for rule in RULES.values():
        assert rule.promotes_on in HYPOTHESES
        assert rule.sentence.endswith(".")
    assert {metric.direction for metric in METRICS.values()} == {"lower", "higher"}


def test_an_unknown_metric_is_refused_where_it_is_asked_for():
    with pytest.raises(PlanError, match="one of brier"):
        plan().metric("accuracy")
