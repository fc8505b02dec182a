from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from replay.errors import ColumnsError, ScoresDisagree
from replay.join import Joined
from replay.pairs import pair

AT = datetime(2013, 1, 1, tzinfo=UTC)


def joined(positions):
    n = len(positions)
    table = pa.table(
        {
            "position": pa.array(positions, pa.int64()),
            "decision_id": pa.array([f"d{p}" for p in positions], pa.string()),
            "occurred_at": pa.array([AT] * n, pa.timestamp("us", tz="UTC")),
            "unit": pa.array([None] * n, pa.string()),
            "score": pa.array([0.5] * n, pa.float64()),
            "decision": pa.array(["yes"] * n, pa.string()),
            "label": pa.array([1.0] * n, pa.float64()),
        }
    )
    return Joined(table=table, rows_in=n, reasons={}, outcomes={}, first=np.ones(n, dtype=np.bool_))


def scores(rows):
    schema = pa.schema(
        [
            ("decision_position", pa.int64()),
            ("decision_id", pa.string()),
            ("score", pa.float64()),
            ("decision", pa.string()),
            ("error", pa.string()),
        ]
    )
    names = schema.names
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=schema)


def test_every_joined_row_is_scored_unscored_or_failed():
    paired = pair(
        joined([1, 2, 3, 4]),
        scores(
            [
                (4, "d4", None, None, None),
                (1, "d1", 0.9, "yes", None),
                (2, "d2", None, None, "missing input: x"),
                (9, "d9", 0.1, None, None),
            ]
        ),
    )
    assert (paired.scored, paired.unscored, paired.failed) == (1, 1, 2)
    assert paired.errors == {"missing input: x": 1, "no score": 1}
    assert paired.table.to_pylist() == [
        {
            "position": 1,
            "decision_id": "d1",
            "occurred_at": AT,
            "unit": None,
            "champion_score": 0.5,
            "champion_decision": "yes",
            "challenger_score": 0.9,
            "challenger_decision": "yes",
            "label": 1.0,
        }
    ]


def test_of_two_scores_for_one_position_the_first_wins():
    paired = pair(joined([1]), scores([(1, "d1", 0.9, None, None), (1, "d1", 0.1, None, None)]))
    assert paired.table["challenger_score"].to_pylist() == [0.9]


def test_a_decision_without_score_is_a_judgement_too():
    paired = pair(joined([1]), scores([(1, "d1", None, "no", None)]))
    assert paired.table["challenger_decision"].to_pylist() == ["no"]


def test_no_scores_leave_everything_unscored():
    paired = pair(joined([1, 2]), scores([]))
    assert (paired.scored, paired.unscored, paired.failed, paired.errors) == (0, 2, 0, {})


def test_a_score_that_names_another_decision_is_an_integrity_failure():
    with pytest.raises(ScoresDisagree, match="position 1 names 'other'") as caught:
        pair(joined([1]), scores([(1, "other", 0.9, None, None)]))
    assert caught.value.exit_code == 40


def test_columns_that_are_not_scores_are_named():
    with pytest.raises(ColumnsError, match="The scores lack"):
        pair(joined([1]), pa.table({"score": [1.0]}))
