import pyarrow as pa
import pytest

from recorders.fields import FeatureSet, Field
from replay.errors import EvolutionUnresolved, RetypeFailed
from replay.evolution import Change, columns, mapped

OLD = FeatureSet(
    "fraud", 1, (Field("amount_eur", "float64"), Field("items", "int64"), Field("legacy", "string"))
)
NEW = FeatureSet(
    "fraud", 2, (Field("amount", "float64"), Field("items", "float64"), Field("country", "category"))
)
NAMES = ("amount", "items", "country")
SAID = {
    "feature_set": "fraud:1",
    "rename": {"amount": "amount_eur"},
    "retype": ("items",),
    "absent": ("country",),
    "drop": ("legacy",),
}


def batch(items):
    return pa.record_batch(
        {
            "f.amount_eur": pa.array([1.5] * len(items)),
            "f.items": pa.array(items, pa.int64()),
            "f.legacy": pa.array(["x"] * len(items)),
        }
    )


def test_what_is_said_field_by_field_is_done():
    found = columns(batch([3, None]), NAMES, mapped(Change(**SAID), OLD, NEW, NAMES))
    assert [column.to_pylist() for column in found] == [[1.5, 1.5], [3.0, None], [None, None]]


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ("rename", "amount is not in fraud:1.*amount_eur is no longer in the chosen set"),
        ("retype", "items was int64 and is float64: add it to retype"),
        ("absent", "country is not in fraud:1: add it to absent"),
        ("drop", "legacy is no longer in the chosen set: add it to drop"),
    ],
)
def test_what_is_not_said_is_refused(left_out, said):
    change = Change(**{key: value for key, value in SAID.items() if key != left_out})
    with pytest.raises(EvolutionUnresolved, match=said) as caught:
        mapped(change, OLD, NEW, NAMES)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"drop": ("legacy", "colour")}, "drop names colour, which it did not have"),
        ({"retype": ("items", "colour")}, "colour is no field of the chosen set"),
    ],
)
def test_what_is_said_and_not_so_is_refused_too(more, said):
    with pytest.raises(EvolutionUnresolved, match=said):
        mapped(Change(**(SAID | more)), OLD, NEW, NAMES)


def test_a_cast_that_loses_something_is_refused():
    mapping = mapped(Change(**SAID), OLD, NEW, NAMES)
    with pytest.raises(RetypeFailed, match="not in range"):
        columns(batch([2**53 + 1]), NAMES, mapping)
    back = mapped(
        Change(feature_set="b:1", retype=("items",)),
        FeatureSet("b", 1, (Field("items", "float64"),)),
        FeatureSet("b", 2, (Field("items", "int64"),)),
        ("items",),
    )
    with pytest.raises(RetypeFailed, match="truncated"):
        columns(pa.record_batch({"f.items": pa.array([1.5])}), ("items",), back)
