"""Features and conditions that a training set cannot have are refused with what to do."""

import pyarrow as pa
import pytest

from replay.errors import ColumnsError
from replay.training import check_names, selected


@pytest.mark.parametrize("features", [("amount", "label"), ("amount", "amount")])
def test_a_feature_with_the_name_of_another_column_says_how_to_leave_it_out(
    features: tuple[str, ...],
) -> None:
    """Reading more columns would not help: the set cannot have two of one name."""
    with pytest.raises(ColumnsError, match="names of other columns") as refused:
        check_names(features, ("position", "label"))
    assert "`--features`" in str(refused.value)


def test_other_features_are_taken() -> None:
    """A name that only resembles one of the set's own is no other column."""
    check_names(("labels", "Position"), ("position", "label"))


@pytest.mark.parametrize(("name", "value"), [("contry", "DE"), ("amount", "twelve")])
def test_a_condition_that_no_row_can_meet_is_named(name: str, value: str) -> None:
    """A column that is not there, or a value that its type cannot hold, is a mistake in `where`."""
    decisions = pa.table({"f.amount": [12.5], "f.country": ["DE"]})
    with pytest.raises(ColumnsError, match=name) as refused:
        selected(decisions, {name: [value]})
    assert "`where`" in str(refused.value)
