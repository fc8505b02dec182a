from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from replay.errors import ColumnsError
from replay.join import join
from replay.ranges import AsOf

T0 = datetime(2013, 1, 1, tzinfo=UTC)
INSTANT = pa.timestamp("us", tz="UTC")
HOUR = timedelta(hours=1)


def decisions(hours, names=None):
    return pa.table(
        {
            "position": pa.array(range(1, len(hours) + 1), pa.int64()),
            "decision_id": names or [f"d{i}" for i in range(len(hours))],
            "occurred_at": pa.array([T0 + h * HOUR for h in hours], INSTANT),
            "f.x": pa.array([float(h) for h in hours]),
        }
    )


def outcomes(rows, start=100):
    names, values, hours = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "position": pa.array(range(start, start + len(rows)), pa.int64()),
            "decision_id": pa.array(names, pa.string()),
            "label": pa.array(["late"] * len(rows), pa.string()),
            "value": pa.array(values, pa.float64()),
            "occurred_at": pa.array([T0 + h * HOUR for h in hours], INSTANT),
        }
    )


def as_of(hours, position=10_000):
    return AsOf(epoch=1, position=position, time=T0 + hours * HOUR, digest="")


def test_a_decision_matures_by_its_age_and_not_by_an_early_outcome():
    """Bad outcomes are quick: counting them at once would make young decisions look bad."""
    rng = np.random.default_rng(7)
    hours = [int(h) for h in rng.integers(0, 100, 2_000)]
    bad = rng.random(2_000) < 0.2
    known = [(f"d{i}", float(bad[i]), h + (1 if bad[i] else 24)) for i, h in enumerate(hours)]
    at = as_of(100)
    reported = [row for row in known if row[2] <= 100]
    joined = join(decisions(hours), outcomes(reported), as_of=at, window=24 * HOUR, label="late")
    share = np.mean(joined.table.column("label").to_numpy())
    naive = np.mean([value for _, value, _ in reported])
    assert abs(share - bad.mean()) < 0.01
    assert naive > bad.mean() + 0.03
    assert joined.reasons["missing"] == 0


def test_a_withdrawn_outcome_leaves_its_decision_without_label():
    rows = [("d0", 1.0, 1), ("d0", None, 2)]
    joined = join(decisions([0]), outcomes(rows), as_of=as_of(9), window=2 * HOUR, label="late")
    assert joined.reasons["missing"] == 1
    assert (joined.outcomes["withdrawn"], joined.outcomes["superseded"]) == (1, 1)


def test_an_outcome_may_come_before_its_decision():
    early = outcomes([("d0", 1.0, 1)], start=1)
    late = decisions([0]).set_column(0, "position", pa.array([50], pa.int64()))
    assert join(late, early, as_of=as_of(9), window=HOUR, label="late").table["label"].to_pylist() == [1.0]


def test_the_window_is_closed_at_its_end_and_maturity_begins_there():
    at_end = join(decisions([0]), outcomes([("d0", 1.0, 2)]), as_of=as_of(2), window=2 * HOUR, label="late")
    assert at_end.table.num_rows == 1
    before = join(decisions([0]), outcomes([("d0", 1.0, 1)]), as_of=as_of(1.9), window=2 * HOUR, label="late")
    assert before.reasons["immature"] == 1


def test_the_columns_of_the_decisions_pass_through():
    joined = join(decisions([0, 1]), outcomes([("d1", 3.0, 1)]), as_of=as_of(9), window=HOUR, label="late")
    assert joined.table.schema.names[-3:] == ["label", "outcome_position", "outcome_occurred_at"]
    assert joined.table["f.x"].to_pylist() == [1.0]
    assert joined.table["outcome_position"].to_pylist() == [100]


def test_nothing_in_is_nothing_out():
    joined = join(decisions([]), outcomes([]), as_of=as_of(9), window=HOUR, label="late")
    assert (joined.rows_in, joined.table.num_rows) == (0, 0)
    assert joined.table.schema.field("label").type == pa.float64()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda t: t.drop_columns(["occurred_at"]), "lack occurred_at"),
        (
            lambda t: t.set_column(2, "occurred_at", pa.array([datetime(2013, 1, 1)], pa.timestamp("us"))),  # noqa: DTZ001
            "Expected timestamp",
        ),
        (lambda t: t.set_column(1, "decision_id", pa.array([None], pa.string())), "nulls"),
    ],
)
def test_columns_that_cannot_be_joined_are_named(broken, said):
    with pytest.raises(ColumnsError, match=said) as caught:
        join(broken(decisions([0])), outcomes([]), as_of=as_of(9), window=HOUR, label="late")
    assert caught.value.exit_code == 2


def test_a_mask_of_another_length_is_refused():
    mask = pa.array([True, False])
    with pytest.raises(ColumnsError, match="mask has 2 rows"):
        join(decisions([0]), outcomes([]), as_of=as_of(9), window=HOUR, label="late", exclude=mask)
