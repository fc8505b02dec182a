import numpy as np

from tests.support.training import handed_off


def test_a_dataset_has_the_rows_of_the_set(event_log, tmp_path):
    made = handed_off(event_log, tmp_path)
    rows = made.to_tf("train")
    frame = made.to_pandas("train")
    batches = list(rows.batch(256).as_numpy_iterator())
    amount = np.concatenate([batch["amount"] for batch in batches])
    assert np.array_equal(amount, frame.amount, equal_nan=True)
    assert np.concatenate([batch["kind"] for batch in batches]).astype(str).tolist() == frame.kind.tolist()
    assert np.concatenate([batch["label"] for batch in batches]).tolist() == frame.label.tolist()
    assert rows.element_spec["items"].dtype.name == "int64"
