"""Progress is for a person at a terminal: nothing of it in a pipe, on stdout or beside JSON."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.log.log import Log
from harness.log_export import Selection, export_log
from tests.support.command_line import HARNESS
from tests.support.filled import fill, small_log

ROWS = 20


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
