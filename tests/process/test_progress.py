"""Progress is for a person at a terminal: nothing of it in a pipe, on stdout or beside JSON."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.erasure import Search
from harness.log.log import Log
from harness.log.seal import seal
from harness.log_export import Selection, export_log
from recorders.subject_keys import SubjectKeys
from tests.support.command_line import HARNESS
from tests.support.filled import fill, small_log
from tests.support.history import POINT, History

ROWS = 20
MAPPING = """
source = "table"
decision_point = "imported"
[feature_set]
name = "imported"
version = 1
fields = [{ name = "amount", type = "float64" }]
"""


@pytest.fixture
def log(database_url: str, migrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    with small_log(database_url, migrated, tmp_path / ".harness" / "store") as log:
        fill(log, 1)
        monkeypatch.setenv("HARNESS_DATABASE_URL", log.url)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.chdir(tmp_path)
        yield log


def watched(*arguments: str) -> tuple[str, str]:
    """Return stdout, a pipe, and what a terminal got of stderr."""
    ours, theirs = os.openpty()
    with subprocess.Popen([*HARNESS, *arguments], stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while got := os.read(ours, 1 << 16):
                shown += got
        except OSError:  # Linux ends a terminal without a writer so
            pass
        finally:
            os.close(ours)
        assert process.stdout is not None
        said = process.stdout.read()
    assert process.returncode == 0, shown
    return said.decode(), shown.decode()


def test_an_export_is_watched_on_a_terminal(log: Log) -> None:
    said, shown = watched("log", "export", "out", "--from", "1", "--to", str(ROWS + 1))
    assert "exporting" in shown
    assert f"{ROWS}/{ROWS}" in shown
    assert "rows/s" in shown
    assert "exporting" not in said
    assert f"{ROWS} rows of [1, {ROWS + 1}) in out." in said


def test_what_shows_progress_already_tells_its_rate(log: Log) -> None:
    _, shown = watched("log", "verify")
    assert "verifying" in shown
    assert "rows/s" in shown


def test_what_is_done_with_a_log_is_watched(log: Log, tmp_path: Path) -> None:
    history = History(log)
    start, stop = history.decisions(0, 1_000)
    history.outcomes(0, 900)
    history.decisions(1_100, 1_101)
    span, place = stop - start, ("-d", POINT, "--from", str(start), "--to", str(stop))
    want = ("--label", "fraud", "--window", "3h", "--out", "made")
    name = json.loads(watched("training-set", "create", *place, *want, "--json")[0])["id"]
    rows = [f"i{n},2024-03-01T00:00:00Z,1.5,0.25" for n in range(9)]
    (tmp_path / "rows.csv").write_text("\n".join(["decision_id,occurred_at,amount,score", *rows]) + "\n")
    (tmp_path / "mapping.toml").write_text(MAPPING)
    seal(log, events=500)
    both = 2 * span
    for words, label, count in (
        (("training-set", "create", *place, *want[:-1], "again"), "cutting", f"{both}/{both}"),
        (("training-set", "verify", name), "cutting again", f"{both}/{both}"),
        (("training-set", "verify", "made"), "cutting again", f"{both}/{both}"),
        (("training-set", "export", name, "--out", "exported"), "exporting", f"{both}/{both}"),
        (("training-set", "diff", name, "made"), "comparing", f"{3 * span}/{3 * span}"),
        (("training-set", "extend", name, "--out", "longer"), "extending", "/?"),
        (("log", "import", "-m", "mapping.toml", "rows.csv"), "importing rows.csv", "18/?"),
        (("log", "compact"), "compacting", "rows/s"),
        (("log", "release", "--keep", "0s"), "releasing", "rows/s"),
    ):
        said, shown = watched(*words)
        assert label in shown, words
        assert count in shown, (words, shown)
        assert label not in said, words
    assert watched("training-set", "verify", name, "--json")[1] == ""
    assert watched("log", "compact", "--json")[1] == ""


def test_a_query_is_watched_by_the_rows_it_read(log: Log) -> None:
    rows = sum(row[3] for row in log.rows("stats") if row[0] == "decision")
    asked = ("query", "select decision_id from decisions order by 1")
    plain = subprocess.run([*HARNESS, *asked], capture_output=True, check=True, text=True)
    said, shown = watched(*asked)
    assert "querying" in shown
    assert f"{rows}/?" in shown
    assert "rows/s" in shown
    assert (said, plain.stderr) == (plain.stdout, "")
    file = "rows.parquet"
    for form, seen in (("--csv", True), ("--json", False), ("--parquet", True)):
        said, shown = watched(*asked, form, *([file] if form == "--parquet" else []))
        assert ("querying" in shown) == seen, form
        assert "querying" not in said
        assert len(said.splitlines()) == (rows + 1 if form == "--csv" else 1)


def test_wrapping_keys_anew_is_watched_by_the_keys(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [f"person-{n}" for n in range(ROWS)]
    secrets = [base64.b64encode(bytes([n]) * 32).decode() for n in range(3)]
    monkeypatch.setenv("HARNESS_SUBJECT_SECRET", secrets[0])
    keys = SubjectKeys.from_environment(log.url)
    keys.create()
    keys.of(people)
    for old, new, words in ((0, 1, ()), (1, 2, ("--json",))):
        monkeypatch.setenv("HARNESS_SUBJECT_SECRET_OLD", secrets[old])
        monkeypatch.setenv("HARNESS_SUBJECT_SECRET", secrets[new])
        said, shown = watched("subject-keys", "rewrap", *words)
        assert (f"{ROWS}/{ROWS}" in shown, "keys/s" in shown, shown == "") == (
            not words,
            not words,
            bool(words),
        )
        assert str(ROWS) in said
        assert "wrapping" not in said


def test_an_erasure_tells_how_many_decisions_it_searched(log: Log) -> None:
    told: list[int] = []
    Search(log, [b"0" * 16]).go_on(told.append)
    assert told == sorted(told)
    assert told[-1] == sum(row[3] for row in log.rows("stats") if row[0] == "decision")


def test_a_program_and_a_pipe_see_none(log: Log) -> None:
    assert watched("log", "export", "one", "--json")[1] == ""
    piped = subprocess.run([*HARNESS, "log", "export", "two"], capture_output=True, check=True)
    assert piped.stderr == b""


def test_an_export_tells_how_many_rows_of_all_files_are_written(log: Log, tmp_path: Path) -> None:
    told: list[int] = []
    kinds = ("decision", "outcome", "score", "control")
    head = log.head().position
    manifest = export_log(log, Selection(1, head + 1, kinds), tmp_path / "out", "csv", told.append)
    assert len(manifest["files"]) > 1
    assert told == sorted(told)
    assert told[-1] == head
