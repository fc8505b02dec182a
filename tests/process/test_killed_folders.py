"""What a query and a sealing process hold on the disk goes with the next one, when they were killed."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.log.log import Log
from harness.log.seal import seal
from tests.support.filled import fill, small_log

OPEN = """
import sys, time
from harness.config import StorePlace
from harness.log import seal
from harness.log.log import Log
from harness.sql import query
url, store, what = sys.argv[1:]
def waits(*_given, **_named):
    print("made", flush=True)
    time.sleep(3600)
with Log(url, store=StorePlace(store)) as log:
    if what == "query":
        query.Engine.run = waits
        log.sql("select 1")
    else:
        seal.Draft.add = waits
        seal.seal(log)
"""


@pytest.fixture
def log(database_url: str, migrated: str, tmp_path: Path) -> Iterator[Log]:
    with small_log(database_url, migrated, tmp_path / "segments") as log:
        fill(log)
        yield log


@pytest.mark.parametrize("what", ["query", "seal"])
def test_what_a_killed_one_held_goes_with_the_next(
    log: Log, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    command = [sys.executable, "-c", OPEN, log.url, (tmp_path / "segments").as_uri(), what]
    environment = {**os.environ, "TMPDIR": str(place)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "made\n"
        (left,) = place.iterdir()
        (left / "columns").write_text("many")
        process.send_signal(signal.SIGKILL)
    assert (left / "columns").exists()
    assert rows(log) == [{"one": 1}] if what == "query" else seal(log)
    assert not list(place.iterdir())


def rows(log: Log) -> list[dict[str, int]]:
    found: list[dict[str, int]] = log.sql("select 1 as one").to_arrow().to_pylist()
    return found
