"""The compatibility door: asked as a feature store is asked, answered with what production served."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from harness.errors import NotFound
from harness.replay_errors import FeatureUnknown
from harness.training.historical import get_historical_features
from recorders.columns import decision_schema
from recorders.fields import FeatureSet, Field
from replay.errors import EntitiesUnusable, RetypeFailed
from tests.support.history import FEATURES, MINUTE, POINT, START, History, amounts, rows


@pytest.fixture
def served(event_log):
    """Fifty units, each decided on every 50 minutes."""
    history = History(event_log)
    history.decisions(0, 200)
    return history


def entities(*rows):
    return pd.DataFrame(rows, columns=["unit", "event_timestamp", "label"])


def test_it_answers_with_the_last_value_that_was_served(event_log, served):
    asked = entities(
        ("u3", START + 103 * MINUTE, 1),
        ("u3", START + 102 * MINUTE, 0),
        ("u3", START - MINUTE, 0),
        ("u99", START + 103 * MINUTE, 1),
        ("u3", (START + 103 * MINUTE), 1),
    )
    found = get_historical_features(event_log, asked, [f"{POINT}:items", f"{POINT}:amount"])
    frame = found.to_df()
    assert list(frame.columns) == ["unit", "event_timestamp", "label", "items", "amount"]
    assert found.to_arrow()["items"].to_pylist() == [103 % 7, 53 % 7, None, None, 103 % 7]
    assert frame.amount[0] == amounts(pd.array([103]))[0]
    assert frame.label.tolist() == [1, 0, 0, 1, 1]
    assert found.provenance == "served"


def test_nothing_from_after_the_place_is_known(event_log, served):
    asked = entities(("u3", START + 500 * MINUTE, 0))
    place = event_log.head().position - 100
    early = get_historical_features(event_log, asked, [f"{POINT}:items"], as_of=place)
    assert early.to_arrow()["items"].to_pylist() == [53 % 7]
    late = get_historical_features(event_log, asked, [f"{POINT}:items"])
    assert late.to_arrow()["items"].to_pylist() == [153 % 7]


def test_of_two_decisions_of_one_instant_the_later_position_counts(event_log, served):
    served.decisions(0, 4)
    asked = entities(("u3", START + 3 * MINUTE, 0), ("u3", START + 3 * MINUTE, 1))
    assert get_historical_features(event_log, asked, [f"{POINT}:items"]).to_df()["items"].tolist() == [3, 3]


def test_a_recorded_feature_can_be_the_key(event_log, served):
    asked = pa.table(
        {
            "kind": ["bank", None],
            "event_timestamp": pa.array([START + timedelta(minutes=10)] * 2, pa.timestamp("us", "UTC")),
        }
    )
    found = get_historical_features(event_log, asked, [f"{POINT}:items"], key="kind")
    assert found.to_arrow()["items"].to_pylist() == [10 % 7, None]


def test_a_number_is_a_key_as_it_was_recorded(event_log, served):
    first = float(amounts(pd.array([7]))[0])
    asked = pd.DataFrame({"amount": [first, None], "event_timestamp": START + 500 * MINUTE})
    found = get_historical_features(event_log, asked, [f"{POINT}:items"], key="amount")
    assert found.to_arrow()["items"].to_pylist() == [0, None]
    floats = pd.DataFrame({"items": [3.0, 2.5], "event_timestamp": START + 500 * MINUTE})
    found = get_historical_features(event_log, floats, [f"{POINT}:amount"], key="items")
    assert found.to_arrow()["amount"].to_pylist() == [amounts(pd.array([199]))[0], None]
    unknown = floats.rename(columns={"items": "colour"})
    with pytest.raises(FeatureUnknown, match="'colour'"):
        get_historical_features(event_log, unknown, [f"{POINT}:amount"], key="colour")


def test_a_feature_that_does_not_fit_its_later_type_is_said(event_log, served):
    retyped = {"amount": "int64"}
    fields = tuple(Field(each.name, retyped.get(each.name, each.type)) for each in FEATURES.fields)
    later = FeatureSet(FEATURES.name, 2, fields)
    plain = rows(np.arange(200, 203), FEATURES)
    at = plain.schema.get_field_index("f.amount")
    event_log.register_feature_set(later)
    batch = plain.set_column(at, "f.amount", pa.array([1, 2, 3])).cast(decision_schema(later))
    served.append("decision", batch, later.digest)
    asked = entities(("u3", START + 500 * MINUTE, 0))
    assert get_historical_features(event_log, asked, [f"{POINT}:items"]).to_df()["items"].tolist() == [6]
    with pytest.raises(RetypeFailed, match="'amount' cannot become int64 from double"):
        get_historical_features(event_log, asked, [f"{POINT}:amount"])


@pytest.mark.parametrize("unlike", [["u3", 3], [{"u": 1}, "u3"]])
def test_a_column_of_several_types_is_refused(event_log, served, unlike):
    asked = pd.DataFrame({"unit": unlike, "event_timestamp": START})
    with pytest.raises(EntitiesUnusable, match="column unit"):
        get_historical_features(event_log, asked, [f"{POINT}:items"])


def test_what_is_there_twice_or_has_no_instant_is_refused(event_log, served):
    instant = pa.array([START], pa.timestamp("us", "UTC"))
    twice = pa.Table.from_arrays([pa.array(["u3"])] * 2 + [instant], ["unit", "unit", "event_timestamp"])
    for table in (twice, pd.DataFrame([["u3", "u3", START]], columns=twice.schema.names)):
        with pytest.raises(EntitiesUnusable, match="unit"):
            get_historical_features(event_log, table, [f"{POINT}:items"])
    asked = pd.DataFrame({"unit": ["u3", "u4"], "event_timestamp": [START, pd.NaT]})
    with pytest.raises(EntitiesUnusable, match="1 of 2 rows have no event_timestamp"):
        get_historical_features(event_log, asked, [f"{POINT}:items"])


@pytest.mark.parametrize(
    ("change", "features", "error", "said"),
    [
        ({}, [f"{POINT}:colour"], FeatureUnknown, "'colour'"),
        ({}, ["nowhere:items"], NotFound, "nowhere"),
        ({}, ["items"], EntitiesUnusable, "names no feature"),
        ({}, [f"{POINT}:items"] * 2, EntitiesUnusable, "asked for twice"),
        ({"event_timestamp": [pd.Timestamp("2024-03-01")]}, [f"{POINT}:items"], EntitiesUnusable, "naive"),
        ({"unit": None}, [f"{POINT}:items"], EntitiesUnusable, "lacks unit"),
        ({"event_timestamp": [pd.NaT]}, [f"{POINT}:items"], EntitiesUnusable, "naive"),
        ({"unit": [b"u3"]}, [f"{POINT}:items"], EntitiesUnusable, "is of type binary"),
    ],
)
def test_what_cannot_be_answered_is_said(event_log, served, change, features, error, said):
    asked = entities(("u3", START, 0)).assign(**change)
    if change.get("unit", "") is None:
        asked = asked.drop(columns="unit")
    with pytest.raises(error, match=said) as caught:
        get_historical_features(event_log, asked, features)
    assert caught.value.exit_code == 2
