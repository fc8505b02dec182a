"""What changed between two sets, told apart by its cause."""

import hashlib
import json
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.cli.main import run
from harness.errors import NotFound
from harness.training.compare import diff_training_sets
from harness.training.sets import create_training_set
from recorders.columns import OUTCOME_SCHEMA
from tests.support.history import MINUTE, POINT, START, History

WINDOW = timedelta(hours=3)


def made(log, part, out, window=WINDOW):
    return create_training_set(
        log,
        decision_point=POINT,
        start=part[0],
        stop=part[1],
        label="fraud",
        window=window,
        out_dir=out,
    )


def outcomes(history, of, values):
    columns = [
        [f"d{n}" for n in of],
        ["fraud"] * len(of),
        values,
        [START + n * MINUTE + timedelta(hours=1) for n in of],
    ]
    arrays = [pa.array(c, type=f.type) for c, f in zip(columns, OUTCOME_SCHEMA, strict=True)]
    history.append("outcome", pa.RecordBatch.from_arrays(arrays, schema=OUTCOME_SCHEMA))


@pytest.fixture
def grown(event_log, tmp_path):
    """A set of 500 decisions, of which 400 are old enough and 390 known; and the same range a day later."""
    history = History(event_log)
    start, stop = history.decisions(0, 500)
    history.outcomes(0, 390)
    history.decisions(579, 580)
    before = made(event_log, (start, stop), tmp_path / "before")
    history.outcomes(400, 500)
    outcomes(history, range(390, 395), [1.0] * 5)  # came at last
    outcomes(history, range(7), [None] * 7)  # withdrawn
    flipped = before.to_pandas().label[20:31]
    outcomes(history, range(20, 31), (1.0 - flipped).tolist())
    _, later = history.decisions(2_000, 2_040)
    history.outcomes(2_000, 2_040)
    history.decisions(4_000, 4_001)
    return before, made(event_log, (start, later), tmp_path / "after")


def test_each_change_is_counted_under_its_cause(event_log, grown):
    before, after = grown
    found = diff_training_sets(event_log, before.id, after.id)
    assert found.counts == {
        "added": 40,
        "matured": 100,
        "corrected": 5 + 7,
        "relabelled": 11,
        "erased": 0,
        "removed": 0,
    }
    change = dict(zip(found.rows["decision_id"].to_pylist(), found.rows["change"].to_pylist(), strict=True))
    assert (change["d2001"], change["d450"], change["d392"], change["d3"], change["d25"]) == (
        "added",
        "matured",
        "corrected",
        "corrected",
        "relabelled",
    )
    assert sum(diff_training_sets(event_log, after.id, after.id).counts.values()) == 0
    back = diff_training_sets(event_log, after.id, before.id).counts
    assert (back["removed"], back["relabelled"]) == (100 + 40, 11)


def test_values_that_the_log_no_longer_has_are_erased(event_log, grown, tmp_path):
    before, _after = grown
    part = before.folder / before.manifest["parts"][0]["file"]
    table = pq.read_table(part)
    # What was written before an erasure: here other values than the log has.
    amount = table["amount"].to_numpy().copy()
    amount[:3] = [1e9, 2e9, 3e9]
    pq.write_table(
        table.set_column(
            table.schema.get_field_index("amount"), "amount", pa.array(amount, from_pandas=True)
        ),
        part,
    )
    before.manifest["parts"][0]["sha256"] = hashlib.sha256(part.read_bytes()).hexdigest()
    (before.folder / "manifest.json").write_text(json.dumps(before.manifest))
    found = diff_training_sets(event_log, str(before.folder), before.id)
    assert found.counts == dict.fromkeys(found.counts, 0) | {"erased": 3}
    assert np.array_equal(found.rows["position"], before.to_arrow()["position"][:3])


def test_rows_that_a_rule_takes_away_are_no_corrections(event_log, grown, tmp_path, monkeypatch, capsys):
    _before, after = grown
    cut = after.manifest["cut"]
    # Most outcomes come two hours later: with this window they are late.
    short = made(event_log, (cut["start"], cut["stop"]), tmp_path / "short", timedelta(minutes=90))
    gone = after.manifest["rows"] - short.manifest["rows"]
    assert gone > 100
    found = diff_training_sets(event_log, after.id, short.id)
    assert (found.counts["corrected"], found.counts["removed"], found.apart) == (0, gone, ("labels",))
    back = diff_training_sets(event_log, short.id, after.id)
    assert (back.counts["corrected"], back.counts["added"]) == (0, gone)
    monkeypatch.setenv("HARNESS_DATABASE_URL", event_log.url)
    assert run(["training-set", "diff", after.id, short.id, "-C", str(tmp_path)]) == 0
    assert "The specifications differ in labels: rows come and go by that too." in capsys.readouterr().out


def test_the_command_writes_the_rows_and_names_what_is_not_there(
    event_log, grown, tmp_path, monkeypatch, capsys
):
    before, after = grown
    monkeypatch.setenv("HARNESS_DATABASE_URL", event_log.url)
    monkeypatch.chdir(tmp_path)
    assert run(["training-set", "diff", before.id, after.id, "--out", "rows.parquet"]) == 0
    assert "matured              100" in capsys.readouterr().out
    assert pq.read_table("rows.parquet").num_rows == 40 + 100 + 12 + 11
    assert run(["training-set", "diff", before.id, "ts-nothing"]) == 2
    assert run(["training-set", "diff", before.id, after.id, "--out", "no/such/folder.parquet"]) == 2
    assert run(["training-set", "prove", before.id, "d10", "--out", "proof.json"]) == 0
    monkeypatch.delenv("HARNESS_DATABASE_URL")
    assert run(["training-set", "check-proof", "proof.json"]) == 0
    (tmp_path / "proof.json").write_text((tmp_path / "proof.json").read_text().replace('"d10"', '"d11"'))
    assert run(["training-set", "check-proof", "proof.json"]) == 40
    with pytest.raises(NotFound):
        diff_training_sets(event_log, "ts-nothing", before.id)
