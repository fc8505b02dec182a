import datasets

from tests.support.training import handed_off


def test_a_dataset_carries_our_digest_and_our_rows(event_log, tmp_path):
    made = handed_off(event_log, tmp_path)
    rows = made.to_hf()
    assert rows._fingerprint == made.digest
    assert rows.data.table.equals(made.to_arrow())
    assert made.to_hf("test")._fingerprint != made.digest
    # The parts can be read by the library itself, too, and give the same values.
    files = [str(made.folder / part["file"]) for part in made.manifest["parts"]]
    read = datasets.Dataset.from_parquet(files, cache_dir=str(tmp_path / "cache"))
    assert read["amount"][:] == made.to_arrow()["amount"].to_pylist()
    assert len(read) == made.manifest["rows"]
