import json

import mlcroissant
import pytest

from tests.support.training import handed_off


# The library it reads JSON-LD with has deprecated what it calls.
@pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")
def test_croissant_reads_the_rows_by_our_description(event_log, tmp_path):
    made = handed_off(event_log, tmp_path)
    described = mlcroissant.Dataset(str(made.folder / "croissant.json"))
    assert described.metadata.ctx.issues.errors == set()
    assert described.metadata.ctx.issues.warnings == set() or "citation" in str(
        described.metadata.ctx.issues.warnings
    )
    rows = list(described.records("rows"))
    table = made.to_arrow()
    assert [row["rows/position"] for row in rows] == table["position"].to_pylist()
    assert [row["rows/label"] for row in rows] == table["label"].to_pylist()
    files = json.loads((made.folder / "croissant.json").read_text())["distribution"]
    assert [file.get("sha256") for file in files[:-1]] == [part["sha256"] for part in made.manifest["parts"]]
