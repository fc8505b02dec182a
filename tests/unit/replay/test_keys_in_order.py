"""A model remembers by one value: a key that is a list is refused in words, whoever scores or observes."""

import pyarrow as pa
import pytest

from replay.adapters.in_order import observe_in_order, score_in_order
from replay.model_errors import KeyNotOneValue


@pytest.mark.parametrize("values", [[[1.0], [1.0, 2.0], None], [None, None, None]])
def test_a_key_that_is_a_list_is_refused_by_its_name(values):
    rows = pa.RecordBatch.from_pydict(
        {
            "decision_position": pa.array([1, 2, 3], pa.int64()),
            "decision_id": pa.array(["a", "b", "c"]),
            "f.basket": pa.array(values, pa.list_(pa.float64())),
        }
    )
    never = pytest.fail
    for ask in (
        lambda: score_in_order(rows, "basket", never, never),
        lambda: observe_in_order(rows, "basket", never),
    ):
        with pytest.raises(KeyNotOneValue, match="'basket', whose values are lists") as caught:
            ask()
        assert caught.value.exit_code == 2
