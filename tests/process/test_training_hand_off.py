"""What a training set is to other tools: its folder, polars, MLflow, and a proof of a single row."""

import json
from pathlib import Path

import mlflow
import msgspec
import numpy as np
import polars as pl
import pytest

from harness.training.errors import FrameworkMissing, RowNotFound, RowProofInvalid
from harness.training.proof import check_row_proof, prove_row
from harness.training.roots import ROOTED
from tests.support.training import handed_off


@pytest.fixture
def made(event_log, tmp_path):
    return handed_off(event_log, tmp_path)


def test_an_export_is_one_folder_with_all_of_it(made):
    names = sorted(str(path.relative_to(made.folder)) for path in made.folder.rglob("*") if path.is_file())
    parts = [part["file"] for part in made.manifest["parts"]]
    assert names == sorted([*parts, "croissant.json", "data.dvc", "manifest.json", "proof.json"])
    proof = json.loads((made.folder / "proof.json").read_text())
    assert (proof["digest"], proof["rows"]) == (made.digest, made.manifest["rows"])


def test_polars_and_pandas_have_the_values_of_the_set(made):
    table = made.to_arrow()
    assert made.to_polars().to_arrow().cast(table.schema).equals(table)
    test = made.to_polars("test")
    assert set(test["split"]) == {"test"}
    read = pl.scan_parquet(made.folder / "data" / "*.parquet").collect()
    assert read.equals(made.to_polars())
    assert np.array_equal(made.to_pandas().amount, read["amount"].to_numpy(), equal_nan=True)


def test_mlflow_shows_our_digest_and_not_its_own(made, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    with mlflow.start_run() as run:
        made.log_to_mlflow()
    stored = mlflow.get_run(run.info.run_id)
    (logged,) = stored.inputs.dataset_inputs
    assert (logged.dataset.name, logged.dataset.digest) == (made.id, made.digest[:36])
    assert stored.data.tags["training_set.digest"] == made.digest
    assert Path(json.loads(logged.dataset.source)["uri"]) == made.folder
    assert "amount" in logged.dataset.schema


def test_a_library_that_is_not_there_is_named(made, monkeypatch):
    import sys

    for name, method in (("torch", lambda: made.to_torch(batch_size=8)), ("datasets", made.to_hf)):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(FrameworkMissing, match=f"pip install {name}") as caught:
            method()
        assert caught.value.exit_code == 2


def test_a_row_is_proven_against_the_root_in_the_log(event_log, made):
    proof = prove_row(event_log, made.id, "d17")
    (rooted,) = event_log.controls(ROOTED, made.id)
    assert (proof.root, proof.rooted_at) == (rooted.body["root"], rooted.position)
    assert json.loads((made.folder / "proof.json").read_text())["root"] == proof.root
    data = msgspec.json.encode(proof)
    assert check_row_proof(data) == proof
    with pytest.raises(RowNotFound, match="no decision 'd950'"):
        prove_row(event_log, made.id, "d950")


ALTERED = [
    {"position": 3},
    {"decision_id": "d18"},
    {"row": "00" * 32},
    {"index": 18},
    {"rows": 901},
    {"path": ()},
    {"root": "11" * 32},
    {"format": "training-set-proof/2"},
    {"row": "no hexadecimal"},
    {"position": -1},
    {"position": 2**80},
]


def test_a_proof_with_one_thing_altered_does_not_hold(event_log, made):
    proof = msgspec.to_builtins(prove_row(event_log, made.id, "d17"))
    for change in ALTERED:
        with pytest.raises(RowProofInvalid) as caught:
            check_row_proof(json.dumps(proof | change).encode())
        assert caught.value.exit_code == 40
    for data in (b"", b"{}", b"[1]", b"\xff"):
        with pytest.raises(RowProofInvalid):
            check_row_proof(data)
