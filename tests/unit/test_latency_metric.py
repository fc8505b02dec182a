"""Answers beyond an objective as a metric of a sample: how many it takes, and what a plan may say of it."""

import pyarrow as pa
import pytest

from policies import plan_from
from policies.errors import PlanError
from policies.estimate import Estimate, estimate
from policies.fold import fold

GATE = {"name": "latency_over", "role": "guardrail", "slo_us": 100, "ask_every": 32, "margin": 0.02}
SHOWN = 3.0  # the natural logarithm of 20, which is 1 / alpha


def asked(count: int, *, late: int = 0, unasked: int = 0) -> Estimate:
    """Return what `count` asked decisions say, `late` of them late, beside some that nobody asked."""
    rows = count + unasked
    plan = plan_from({"metrics": [{"name": "brier"}, GATE]})
    columns = {
        "position": list(range(rows)),
        "decision_id": [str(row) for row in range(rows)],
        "occurred_at": pa.array([0] * rows, pa.timestamp("us", "UTC")),
        "unit": pa.nulls(rows, pa.string()),
        "champion_score": [0.5] * rows,
        "challenger_score": [0.5] * rows,
        "champion_decision": pa.nulls(rows, pa.string()),
        "challenger_decision": pa.nulls(rows, pa.string()),
        "label": [1.0] * rows,
        "champion_latency_us": [1] * rows,
        "challenger_latency_us": [200] * late + [1] * (count - late) + [None] * unasked,
        "challenger_error": pa.nulls(rows, pa.string()),
    }
    (found,) = (e for e in estimate(fold(pa.table(columns), plan), plan) if e.metric == "latency_over")
    return found


def log_e(found: Estimate, hypothesis: str) -> float:
    (value,) = (test.log_e for test in found.tested if test.hypothesis == hypothesis)
    assert value is not None
    return value


@pytest.mark.parametrize(
    ("hypothesis", "enough", "fewer"),
    [("noninferiority", (1_010, 0), (960, 0)), ("harm", (24, 24), (22, 22)), ("harm", (24, 24), (24, 20))],
)
def test_so_many_asked_decisions_show_it(
    hypothesis: str, enough: tuple[int, int], fewer: tuple[int, int]
) -> None:
    (count, late), (less, less_late) = enough, fewer
    assert log_e(asked(count, late=late), hypothesis) > SHOWN > log_e(asked(less, late=less_late), hypothesis)


def test_what_nobody_asked_is_counted_and_moves_nothing() -> None:
    alone, among = asked(40, late=10), asked(40, late=10, unasked=900)
    assert among.reasons == {"challenger_latency_missing": 900}
    assert (among.units, among.tested, among.point) == (alone.units, alone.tested, alone.point)
    assert among.challenger == 0.25


@pytest.mark.parametrize(
    "metric", [{"name": "brier", "ask_every": 32}, GATE | {"ask_every": 0}, GATE | {"ask_every": 2**20 + 1}]
)
def test_only_latencies_are_asked_for_and_some_of_them_at_least(metric: dict[str, object]) -> None:
    with pytest.raises(PlanError, match="ask_every"):
        plan_from({"metrics": [{"name": "log_loss"}, metric]})


def test_a_plan_without_the_key_keeps_its_digest() -> None:
    shown = {"name": "latency_over", "role": "context", "slo_us": 900}
    plan = plan_from({"metrics": [{"name": "brier"}, shown]})
    assert plan.digest.startswith("910c3e05d0f776bb")
    assert plan.columns == ("challenger_latency_us", "champion_latency_us")
