"""Importing a file twice adds nothing, whatever happened in between."""

import os
import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.imports import RowsRejected, examine, import_file
from harness.log import gaps
from harness.log.gaps import IMPORT
from harness.log.log import Log
from harness.training.sets import create_training_set
from recorders.doors.mapping import Mapping
from recorders.errors import LinkUnavailable
from recorders.frame import Frame, Receipt
from recorders.inprocess import InProcessLink
from tests.support.doors import GOLDEN
from tests.support.sidecars import until

CSV = """
source = "table"
decision_point = "shop.fraud"
[feature_set]
name = "fraud"
version = 1
fields = [{ name = "amount", type = "float64" }]
[outcome]
label = { value = "paid" }
value = "paid"
"""


def written(folder: Path, rows: int) -> Path:
    path = folder / "decisions.csv"
    lines = [f"d{n},2026-05-04T10:00:00Z,{n}.5,0.25,{n % 2}" for n in range(rows)]
    path.write_text("\n".join(["decision_id,occurred_at,amount,score,paid", *lines]) + "\n")
    return path


def held(log: Log, kind: str) -> int:
    head = log.head().position
    return sum(batch.num_rows for batch in log.read(1, head + 1, kind=kind))


@pytest.mark.parametrize(
    "case",
    [
        "sagemaker",
        "bentoml-files",
        "inference-table-legacy",
        "inference-table-gateway",
        "table-csv",
        "table-parquet",
        "lines",
    ],
)
def test_every_form_is_imported_once(fresh_log: Log, case: str, tmp_path: Path) -> None:
    folder = GOLDEN / case
    mapping = Mapping.from_toml(folder / "mapping.toml")
    (file,) = folder.glob("capture.*")
    first = import_file(fresh_log, file, mapping, skip_rejected=True)
    position = fresh_log.head().position
    assert first.decisions == held(fresh_log, "decision") > 0
    assert first.outcomes == held(fresh_log, "outcome")
    renamed = tmp_path / ("other" + "".join(file.suffixes))
    renamed.write_bytes(file.read_bytes())
    again = import_file(fresh_log, renamed, mapping, skip_rejected=True)
    assert (again.known, again.writer) == (True, first.writer)
    assert fresh_log.head().position == position
    (event,) = fresh_log.controls(IMPORT)
    assert event.body["decisions"] == first.decisions
    assert event.body["rejected"] == first.rejected
    missing = gaps.find([event], 1, position + 1)
    assert {(one.reason, one.count) for one in missing.gaps} == {
        (f"rejected.{reason}", count) for reason, count in first.rejected.items()
    }
    assert {one.decision_point for one in missing.gaps} <= {mapping.decision_point}


def test_an_import_that_broke_off_goes_on(
    fresh_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, mapping = written(tmp_path, 9_000), Mapping.from_toml(CSV)
    send = InProcessLink.send

    def broken(link: InProcessLink, frame: Frame) -> Receipt:
        if frame.sequence == 3:
            raise LinkUnavailable("the test cut the line")
        return send(link, frame)

    monkeypatch.setattr(InProcessLink, "send", broken)
    with pytest.raises(LinkUnavailable):
        import_file(fresh_log, path, mapping)
    assert 0 < held(fresh_log, "decision") < 9_000
    monkeypatch.setattr(InProcessLink, "send", send)
    done = import_file(fresh_log, path, mapping)
    assert (done.decisions, done.outcomes) == (9_000, 9_000)
    assert (held(fresh_log, "decision"), held(fresh_log, "outcome")) == (9_000, 9_000)


def test_rows_that_cannot_be_taken_stop_the_whole_file(fresh_log: Log) -> None:
    folder = GOLDEN / "table-csv"
    mapping = Mapping.from_toml(folder / "mapping.toml")
    before = fresh_log.head().position
    with pytest.raises(RowsRejected, match="1 type, 1 unreadable") as caught:
        import_file(fresh_log, folder / "capture.csv", mapping)
    assert caught.value.rejected == {"type": 1, "unreadable": 1}
    assert fresh_log.head().position == before


def test_examining_appends_nothing(fresh_log: Log, tmp_path: Path) -> None:
    before = fresh_log.head().position
    contents = examine(written(tmp_path, 10), Mapping.from_toml(CSV))
    assert (contents.decisions, contents.outcomes, contents.rejected) == (10, 10, {})
    assert fresh_log.head().position == before


def test_what_no_row_has_is_said(fresh_log: Log, tmp_path: Path) -> None:
    """A path that leads nowhere makes each decision one whose field is missing."""
    path = written(tmp_path, 10)
    wrong = CSV.replace("[outcome]", '[decision]\nunit = "custmer"\n[fields]\namount = "amuont"\n[outcome]')
    assert examine(path, Mapping.from_toml(CSV)).absent == ()
    done = import_file(fresh_log, path, Mapping.from_toml(wrong))
    assert (done.decisions, done.absent) == (10, ("unit (custmer)", "amount (amuont)"))


def test_a_file_that_grew_adds_what_is_new(fresh_log: Log, tmp_path: Path) -> None:
    """Its old rows come again with their ids, and join once."""
    mapping = Mapping.from_toml(CSV)
    path = written(tmp_path, 10)
    import_file(fresh_log, path, mapping)
    path.write_text(path.read_text() + "d10,2026-05-04T10:00:00Z,10.5,0.25,1\n")
    assert not import_file(fresh_log, path, mapping).known
    made = create_training_set(
        fresh_log,
        start=1,
        stop=fresh_log.head().position + 1,
        decision_point="shop.fraud",
        label="paid",
        window=timedelta(hours=1),
        out_dir=tmp_path / "set",
    )
    ids = made.to_arrow().column("decision_id").to_pylist()
    assert sorted(ids) == sorted(f"d{n}" for n in range(11))


def test_another_mapping_is_another_import(fresh_log: Log, tmp_path: Path) -> None:
    path = written(tmp_path, 10)
    import_file(fresh_log, path, Mapping.from_toml(CSV))
    other = Mapping.from_toml(CSV.replace("shop.fraud", "shop.other"))
    assert not import_file(fresh_log, path, other).known
    assert held(fresh_log, "decision") == 20


@pytest.mark.parametrize("order", ["reversed", "shuffled"])
def test_rows_in_another_order_join_to_the_same(fresh_log: Log, tmp_path: Path, order: str) -> None:
    """More rows than a batch holds, so that batches differ too."""
    joined = []
    for name, point in (("as they were", "shop.fraud"), (order, "shop.other")):
        folder = tmp_path / name
        folder.mkdir()
        path = written(folder, 6_000)
        head, *rows = path.read_text().splitlines()
        if name == "reversed":
            rows.reverse()
        elif name == "shuffled":
            random.Random(3).shuffle(rows)
        path.write_text("\n".join([head, *rows]) + "\n")
        start = fresh_log.head().position + 1
        import_file(fresh_log, path, Mapping.from_toml(CSV.replace("shop.fraud", point)))
        made = create_training_set(
            fresh_log,
            start=start,
            stop=fresh_log.head().position + 1,
            decision_point=point,
            label="paid",
            window=timedelta(hours=1),
            out_dir=folder / "set",
        )
        table = made.to_arrow().drop_columns(["position"]).sort_by("decision_id")
        joined.append((made.manifest["counts"], table))
    assert joined[0][1].num_rows == 6_000
    assert joined[0] == joined[1]


def importing(log: Log, path: Path, mapping: Path) -> subprocess.Popen[str]:
    """Return a process that imports a file."""
    harness = str(Path(sys.executable).with_name("harness"))
    command = [harness, "log", "import", str(path), "--mapping", str(mapping)]
    environment = os.environ | {"HARNESS_DATABASE_URL": log.url}
    return subprocess.Popen(command, cwd=path.parent, env=environment, stderr=subprocess.PIPE, text=True)


def once_each(log: Log) -> bool:
    """Whether the log has each of 12,000 decisions and outcomes once."""
    head = log.head().position
    batches = log.read(1, head + 1, kind="decision", columns=["decision_id"])
    ids = [one for batch in batches for one in batch.column("decision_id").to_pylist()]
    return sorted(ids) == sorted(f"d{n}" for n in range(12_000)) and held(log, "outcome") == 12_000


def test_a_pipe_is_refused_before_it_is_read(fresh_log: Log, tmp_path: Path) -> None:
    """Read once already, it was an empty file to `--dry-run`; a named one waited for ever."""
    mapping, pipe = Mapping.from_toml(CSV), tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="no regular file"):
        import_file(fresh_log, pipe, mapping)
    reading, writing = os.pipe()
    os.write(writing, written(tmp_path, 3).read_bytes())
    os.close(writing)
    with pytest.raises(UsageError, match="no regular file"):
        examine(Path(f"/dev/fd/{reading}"), mapping)
    assert os.read(reading, 8) == b"decision"
    os.close(reading)


def test_a_file_that_is_imported_twice_at_a_time_is_there_once(fresh_log: Log, tmp_path: Path) -> None:
    path, mapping = written(tmp_path, 12_000), tmp_path / "m.toml"
    mapping.write_text(CSV)
    other = path.with_name("the-same.csv")
    other.write_bytes(path.read_bytes())
    running = [importing(fresh_log, name, mapping) for name in (path, other, path)]
    told = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], told
    assert once_each(fresh_log)
    assert len(fresh_log.controls(IMPORT)) == 1


def test_an_import_that_is_killed_half_way_goes_on(fresh_log: Log, tmp_path: Path) -> None:
    path, mapping = written(tmp_path, 12_000), tmp_path / "m.toml"
    mapping.write_text(CSV)
    with importing(fresh_log, path, mapping) as process:
        until(lambda: held(fresh_log, "decision") > 0 or process.poll() is not None, 120)
        process.kill()
        process.wait()
    assert held(fresh_log, "decision") > 0
    again = import_file(fresh_log, path, Mapping.from_toml(CSV))
    assert (again.decisions, again.outcomes) == (12_000, 12_000)
    assert once_each(fresh_log)
