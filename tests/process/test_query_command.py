"""`harness query` and `harness log export`: forms, exit codes, signals, and nothing half written."""

import csv
import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from harness.cli.main import run
from harness.errors import FileUnwritable, UnknownPosition
from harness.log.log import Log
from harness.log.release import release
from harness.log.seal import seal
from harness.log_export import Selection, export_log
from harness.row_files import PathTaken, whole_folder
from harness.segment_errors import SegmentAltered
from harness.training.parts import sha256_of
from tests.support.command_line import HARNESS
from tests.support.filled import fill, small_log

KINDS = ("decision", "outcome", "score", "control")
ENDLESS = (
    "select count(*) from decisions a, decisions b, decisions c, decisions d, decisions e, decisions f, "
    "decisions g where a.score + b.score + c.score + d.score + e.score + f.score + g.score = 7"
)


@pytest.fixture
def log(database_url: str, migrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """A log of three steps, half of it sealed; the commands run in its folder."""
    with small_log(database_url, migrated, tmp_path / ".harness" / "store") as log:
        fill(log, 3)
        seal(log, stop=93)
        monkeypatch.setenv("HARNESS_DATABASE_URL", log.url)
        monkeypatch.chdir(tmp_path)
        yield log


def said(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(list(arguments))
    found = capfd.readouterr()
    return code, found.out, found.err


def test_every_form_has_the_same_rows(log: Log, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = (
        "select position p, score s, [1.5] l, null::int n from decisions where position in (1, 94) order by 1"
    )
    code, shown, _ = said(capfd, "query", text)
    assert (code, shown.splitlines()[2:]) == (
        0,
        [" 1                0.0  [1.5]", "94  8.714285714285714  [1.5]", "(2 rows)"],
    )
    values = [{"p": 1, "s": 0.0, "l": [1.5], "n": None}, {"p": 94, "s": 61 / 7, "l": [1.5], "n": None}]
    code, shown, _ = said(capfd, "query", text, "--json", "--stats")
    answer = json.loads(shown)
    assert (code, answer["rows"], answer["span"]) == (0, values, [1, 140])
    assert answer["scanned"]["decisions"]["segments_read"] == 1
    code, shown, told = said(capfd, "query", text, "--csv", "--stats")
    found = list(csv.reader(io.StringIO(shown)))
    assert found == [["p", "s", "l", "n"], ["1", "0", "[1.5]", ""], ["94", str(61 / 7), "[1.5]", ""]]
    assert "decisions: 1 of 1 segments, 1 of 2 row groups in them, 1 of 2 batches" in told
    assert said(capfd, "query", text, "--parquet", "rows.parquet")[0] == 0
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == values
    code, _, told = said(capfd, "query", text, "--parquet", "rows.parquet")
    assert (code, "is there already" in told) == (2, True)
    assert said(capfd, "query", text, "--to", "94", "--json")[1].count('"p"') == 2  # a column and a row
    code, shown, _ = said(capfd, "query", "explain select 1 from decisions where position < 3")
    assert "Filters:" in shown


def test_refusals_have_their_exit_codes(log: Log, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, told = said(capfd, "query", "select nope from outcomes", "--json")
    error = json.loads(told)["error"]
    assert (code, error["type"], "outcomes (position" in error["expected"]) == (2, "QueryRefused", True)
    for arguments in (["--csv", "--json"], ["--memory", "1"], ["--from", "9", "--to", "3"], ["--to", "999"]):
        assert said(capfd, "query", "select 1", *arguments)[0] == 2
    assert said(capfd, "query", "select interval 1 day", "--parquet", "no.parquet")[0] == 2
    assert said(capfd, "query", "select 1", "--parquet", "no/such/folder.parquet")[0] == 2
    part = Path(log.sealed.store.url(log.sealed.segments()[0].ledger.path)).parents[1]
    for path in part.rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-9])
    assert said(capfd, "query", "from decisions", "--csv")[0] == 40


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_query_without_end_is_ended_by_a_signal(
    log: Log, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    spill = tmp_path / "spill"
    spill.mkdir()
    running = subprocess.Popen(
        [*HARNESS, "query", ENDLESS, "--parquet", "never.parquet"],
        env={**os.environ, "TMPDIR": str(spill)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 120
        while not list(spill.iterdir()):  # it has its folder: the query is on
            assert time.monotonic() < until
            assert running.poll() is None
            time.sleep(0.05)
        time.sleep(1)
        running.send_signal(number)
        _, told = running.communicate(timeout=120)
    finally:
        running.kill()
    assert (running.returncode, list(spill.iterdir()), list(tmp_path.glob("*never*"))) == (code, [], [])
    assert "Traceback" not in told


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_an_export_counts_what_it_holds(log: Log, capfd: pytest.CaptureFixture[str], form: str) -> None:
    code, shown, _ = said(
        capfd, "log", "export", "out", "--from", "20", "--to", "100", "--format", form, "--json"
    )
    manifest = json.loads(shown)
    assert (code, manifest["range"], manifest["log"]["position"]) == (0, [20, 100], 99)
    assert manifest["log"]["digest"] == log.as_of(99).digest
    assert sum(one["rows"] for one in manifest["files"]) == 80
    assert json.loads(Path("out/manifest.json").read_text()) == manifest
    kept = {one["file"]: one["rows"] for one in manifest["files"]}
    assert kept == {
        f"decisions/flights.late.{form}": 48,
        f"decisions/fraud.{form}": 10,
        f"outcomes/flights.late.{form}": 20,
        f"control.{form}": 2,
    }
    for one in manifest["files"]:
        path = Path("out") / one["file"]
        assert (sha256_of(path), path.stat().st_size) == (one["sha256"], one["bytes"])
        if form == "parquet":
            assert pq.read_table(path).num_rows == one["rows"]
        else:
            lines = len(path.read_text().splitlines()) - (form == "csv")
            assert lines == one["rows"]
    assert said(capfd, "log", "export", "out")[0] == 2
    code, shown, _ = said(capfd, "log", "export", "few", "-d", "fraud", "--kind", "decision", "--json")
    assert [(one["file"], one["rows"]) for one in json.loads(shown)["files"]] == [
        ("decisions/fraud.parquet", 15)
    ]
    for refused in (["none", "-d", "nobody"], ["far", "--to", "999"]):
        assert said(capfd, "log", "export", *refused)[0] == 2
        assert not Path(refused[0]).exists()


def test_stats_count_both_sides(log: Log, capfd: pytest.CaptureFixture[str]) -> None:
    fill(log, 1)
    seal(log)
    assert release(log, timedelta(0))
    code, shown, _ = said(capfd, "log", "stats", "--json")
    found = json.loads(shown)
    by_kind = {(one["kind"], one["decision_point"]): one for one in found["kinds"]}
    late = by_kind["decision", "flights.late"]
    assert (code, late["events"], late["sealed"], late["released"]) == (0, 120, 120, 90)
    assert 0 < late["bytes"] < late["sealed_bytes"], "a quarter of the events has its payload"
    files = sum(found.size for found in log.sealed.store.files())
    assert found["store"] == {"segments": 2, "bytes": files}
    assert by_kind["control", ""]["released"] == 0
    code, shown, _ = said(capfd, "log", "stats")
    assert "in 2 segments (columns and ledgers)" in shown


def test_an_export_that_fails_or_is_killed_leaves_nothing_under_its_name(log: Log, tmp_path: Path) -> None:
    out = tmp_path / "exports" / "out"
    everything = Selection(1, 140, KINDS)
    path = Path(log.sealed.store.url(log.sealed.segments()[0].parts[0].path))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(SegmentAltered):
        export_log(log, everything, out, "csv")
    assert list(out.parent.iterdir()) == []
    path.write_bytes(whole)
    child = os.fork()
    if not child:  # killed after the rows, before the name

        def killed(*_: Any) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        Path.rename = killed  # type: ignore[method-assign]  # in this process alone
        with Log(log.url, store=log.sealed._place) as other:
            export_log(other, everything, out, "csv")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not out.exists()
    assert export_log(log, everything, out, "csv")["files"]
    with pytest.raises(UnknownPosition):
        export_log(log, Selection(1, 141, KINDS), tmp_path / "other", "csv")
    with pytest.raises(PathTaken):
        export_log(log, everything, path, "csv")
    with pytest.raises(FileUnwritable) as caught, whole_folder(tmp_path / "none") as partial:
        (partial / "no" / "such").write_bytes(b"")
    assert (caught.value.exit_code, (tmp_path / "none").exists()) == (2, False)
