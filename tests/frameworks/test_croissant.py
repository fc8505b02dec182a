import json
import logging

import mlcroissant
import pytest

from tests.support.training import handed_off


# It calls what the libraries that it reads JSON-LD and Parquet with have deprecated.
@pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning", "ignore:The inplace keyword")
def test_croissant_reads_the_rows_by_our_description(event_log, tmp_path, caplog):
    made = handed_off(event_log, tmp_path)
    logging.getLogger("absl").addHandler(caplog.handler)
    described = mlcroissant.Dataset(str(made.folder / "croissant.json"))
    assert "@context" not in caplog.text, "it lacks nothing that the validator expects"
    issues = described.metadata.ctx.issues
    assert issues.errors == set()
    # A licence and how to cite the set are its owner's to say.
    assert all("license" in said or "citeAs" in said for said in issues.warnings)
    rows = list(described.records("rows"))
    table = made.to_arrow()
    assert [row["rows/position"] for row in rows] == table["position"].to_pylist()
    assert [row["rows/label"] for row in rows] == table["label"].to_pylist()
    files = json.loads((made.folder / "croissant.json").read_text())["distribution"]
    assert [file.get("sha256") for file in files[:-1]] == [part["sha256"] for part in made.manifest["parts"]]
