"""The compatibility door: asked as a feature store is asked, answered with what production served."""

from datetime import timedelta

import pandas as pd
import pyarrow as pa
import pytest

from harness.errors import NotFound
from harness.replay_errors import FeatureUnknown
from harness.training.historical import get_historical_features
from replay.errors import EntitiesUnusable
from tests.support.history import MINUTE, POINT, START, History, amounts


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


@pytest.mark.parametrize(
    ("change", "features", "error", "said"),
    [
        ({}, [f"{POINT}:colour"], FeatureUnknown, "'colour'"),
        ({}, ["nowhere:items"], NotFound, "nowhere"),
        ({}, ["items"], EntitiesUnusable, "names no feature"),
        ({}, [f"{POINT}:items"] * 2, EntitiesUnusable, "asked for twice"),
        ({"event_timestamp": [pd.Timestamp("2024-03-01")]}, [f"{POINT}:items"], EntitiesUnusable, "naive"),
        ({"unit": None}, [f"{POINT}:items"], EntitiesUnusable, "lacks unit"),
    ],
)
def test_what_cannot_be_answered_is_said(event_log, served, change, features, error, said):
    asked = entities(("u3", START, 0)).assign(**change)
    if change.get("unit", "") is None:
        asked = asked.drop(columns="unit")
    with pytest.raises(error, match=said) as caught:
        get_historical_features(event_log, asked, features)
    assert caught.value.exit_code == 2
