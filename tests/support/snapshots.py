"""Snapshots of every type, at their edges, and equality that tells NaN from None and -0.0 from 0.0."""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from recorders.fields import FeatureSet, Field

ZONES = st.sampled_from(
    [
        UTC,
        ZoneInfo("America/New_York"),
        ZoneInfo("Asia/Kathmandu"),
        timezone(timedelta(hours=-11, minutes=-30)),
    ]
)
FLOATS = st.floats() | st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["", "\x00", "\U0001f6eb"]
)
VALUES: dict[str, st.SearchStrategy[object]] = {
    "float64": FLOATS,
    "int64": st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**63 - 1, -(2**63)]),
    "bool": st.booleans(),
    "string": TEXT,
    "category": TEXT,
    "timestamp": st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=ZONES),  # noqa: DTZ001  # zones are drawn
    "bytes": st.binary(max_size=20),
    "list[float64]": st.lists(FLOATS, max_size=5),
}


@st.composite
def feature_sets(draw: st.DrawFn) -> FeatureSet:
    """Draw a feature set of one to six fields."""
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=6))
    return FeatureSet("drawn", 1, tuple(Field(f"x.{place}", kind) for place, kind in enumerate(kinds)))


@st.composite
def snapshots(draw: st.DrawFn, feature_set: FeatureSet) -> dict[str, object]:
    """Draw a snapshot: each field has a value, is None or is absent."""
    snapshot: dict[str, object] = {}
    for field in feature_set.fields:
        fate = draw(st.sampled_from(["value", "value", "value", "none", "absent"]))
        if fate != "absent":
            snapshot[field.name] = None if fate == "none" else draw(VALUES[field.type])
    return snapshot


def bits(value: object) -> object:
    """Return something that is equal exactly when two recorded values are the same value.

    A float becomes its bits (every NaN the same), an instant its UTC microseconds.
    """
    if isinstance(value, float):
        return ("float", "nan" if value != value else struct.pack("<d", value))  # noqa: PLR0124  # NaN
    if isinstance(value, datetime):
        return ("instant", (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [bits(item) for item in value]
    return (type(value).__name__, value)


def expected(feature_set: FeatureSet, snapshot: dict[str, object]) -> list[object]:
    """Return the values that must come back, in the set's order."""
    return [bits(snapshot.get(field.name)) for field in feature_set.fields]
