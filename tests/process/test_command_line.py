"""The command line as a user meets it: exit codes, errors, pipes, signals."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from harness.database import open_log
from harness.log.log import Log
from tests.support.batches import decisions, outcomes, stored
from tests.support.command_line import CLEAN, HARNESS, ROOT, run


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A log of nine events, its server kept running so that each command is quick."""
    place = Path(tempfile.mkdtemp(prefix="harness-test-"))
    with open_log(place) as log:
        fill(log)
        yield place
    shutil.rmtree(place)


def fill(log: Log) -> None:
    writer = uuid.uuid4()
    log.append(stored(decisions(5), writer, 1))
    log.append(stored(outcomes(3), writer, 2))
    log.control("model.registered", "champion:1", {"uri": "recorded:champion"}, actor="ada")


def test_help_imports_nothing_that_is_slow() -> None:
    code = (
        "import sys; from harness.cli.main import run; assert run(['--help']) == 0;"
        "print(sorted({n.partition('.')[0] for n in sys.modules} & set(sys.argv[1:])))"
    )
    heavy = ["pyarrow", "numpy", "pandas", "sqlalchemy", "alembic", "psycopg", "scipy", "rich", "duckdb"]
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    for noun in ("init", "doctor", "log", "replay", "experiment", "report", "demo"):
        assert f"\n  {noun} " in done.stdout


def test_tail_says_each_kind_readably(folder: Path) -> None:
    lines = run("log", "tail", "-n", 9, "-C", folder).stdout.splitlines()
    assert [line.split()[:1] + line.split()[2:3] for line in lines] == [
        *[[str(n), "decision"] for n in range(1, 6)],
        *[[str(n), "outcome"] for n in range(6, 9)],
        ["9", "control"],
    ]
    assert "flights.late  flights.late/4 champion:1 0.5714 late  distance=6 carrier=UA" in lines[4]
    assert lines[8].endswith('model.registered champion:1 by ada  {"uri": "recorded:champion"}')
    only = run("log", "tail", "-n", 2, "--kind", "decision", "-C", folder, "--json").stdout.splitlines()
    assert [json.loads(line)["position"] for line in only] == [4, 5]


def test_tail_follows_until_interrupted(folder: Path) -> None:
    command = [*HARNESS, "log", "tail", "-n", "1", "--follow", "-C", str(folder)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=CLEAN
    )
    assert process.stdout is not None
    process.stdout.readline()
    with open_log(folder) as log:
        log.control("a.b", "followed", {}, key="followed")
    assert "followed" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()  # however long a busy machine takes: its end is what is waited for
    assert (process.returncode, "Traceback" in said) == (130, False)


INTERRUPTED_AT = """
import os, signal, sys
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
from harness.cli.entry import main
main()
"""


@pytest.mark.parametrize("name", ["click", "click.core", "harness.cli.log"])
def test_an_interrupt_while_it_is_imported_ends_it_without_a_traceback(folder: Path, name: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED_AT.format(name=name), "log", "stats", "-C", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=CLEAN, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def test_a_terminated_command_leaves_no_server(folder: Path) -> None:
    place = Path(tempfile.mkdtemp(prefix="harness-test-"))
    try:
        run("init", "-C", place)
        process = subprocess.Popen(
            [*HARNESS, "log", "tail", "--follow", "-C", str(place)],
            cwd=ROOT,
            env=CLEAN,
            stdout=subprocess.DEVNULL,
        )
        pid = place / ".harness" / "postgres" / "postmaster.pid"
        deadline = time.monotonic() + 30
        while not pid.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)
        process.terminate()
        assert process.wait(timeout=30) == 143
        assert not pid.exists()
    finally:
        shutil.rmtree(place)


def test_show_stats_head_and_verify_have_a_form_for_programs(folder: Path) -> None:
    event = json.loads(run("log", "show", 2, "-C", folder, "--json").stdout)
    assert (event["position"], event["decision_id"], event["f.distance"]) == (2, "flights.late/1", 1.5)
    stats = json.loads(run("log", "stats", "-C", folder, "--json").stdout)
    assert {row["kind"]: row["events"] for row in stats["kinds"]}["decision"] == 5
    head = json.loads(run("log", "head", "-C", folder, "--json").stdout)
    found = json.loads(run("log", "verify", "-C", folder, "--json").stdout)
    assert (found["altered"], found["events"]) == (None, head["position"])


def test_an_altered_log_ends_with_40() -> None:
    place = Path(tempfile.mkdtemp(prefix="harness-test-"))
    try:
        with open_log(place) as log:
            fill(log)
            with psycopg.connect(log.url) as connection:
                connection.execute("set session_replication_role = replica")
                connection.execute("update harness.batch set events = 4 where position = 6")
            done = run("log", "verify", "-C", place)
        assert done.returncode == 40
        assert "Altered at position 6" in done.stdout
    finally:
        shutil.rmtree(place)


REFUSED = [
    (["log", "show", "999"], 2, "UnknownPosition", "Position 999 does not exist"),
    (["log", "show", "0"], 2, "UnknownPosition", "Position 0"),
    (["log", "show", "2013-05-01"], 2, "NaiveTime", "no offset"),
    (["log", "tail", "-n", "0"], 2, "UsageError", "-n"),
    (["log", "nonsense"], 2, "UsageError", "nonsense"),
]


@pytest.mark.parametrize(("arguments", "code", "kind", "text"), REFUSED)
def test_a_refusal_has_a_code_a_text_and_a_form_for_programs(
    folder: Path, arguments: list[str], code: int, kind: str, text: str
) -> None:
    place = ["-C", str(folder)] if arguments != ["log", "nonsense"] else []
    said = run(*arguments, *place)
    assert (said.returncode, said.stdout) == (code, "")
    assert text in said.stderr
    assert "Traceback" not in said.stderr
    error = json.loads(run(*arguments, *place, "--json").stderr)["error"]
    assert (error["type"], error["exit_code"]) == (kind, code)


def test_a_database_that_is_down_is_one_message(tmp_path: Path) -> None:
    done = run("log", "head", "-C", tmp_path, HARNESS_DATABASE_URL="postgresql://ada:secret@127.0.0.1:1/log")
    assert done.returncode == 1
    assert "does not answer" in done.stderr
    assert "Start it or correct HARNESS_DATABASE_URL" in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_looking_into_an_empty_folder_creates_nothing(tmp_path: Path) -> None:
    done = run("log", "head", "-C", tmp_path)
    assert done.returncode == 1
    assert "there is no .harness in it" in done.stderr
    assert 'Run "harness init"' in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_doctor_says_what_is_wrong_and_what_to_do(folder: Path, tmp_path: Path) -> None:
    well = run("doctor", "-C", folder, "--json")
    found = {check["name"]: check for check in json.loads(well.stdout)["checks"]}
    assert well.returncode == 0, well.stdout
    assert "not for shared use" in found["database"]["found"]
    assert {found[name]["state"] for name in ("harness", "recorders", "replay", "policies", "schema")} == {
        "ok"
    }
    ill = run("doctor", "-C", tmp_path, HARNESS_DATABASE_URL="postgresql://127.0.0.1:1/log")
    assert ill.returncode == 1
    assert "✗ database" in ill.stdout


def test_a_shadowed_package_is_found(tmp_path: Path) -> None:
    (tmp_path / "replay").mkdir()
    (tmp_path / "replay" / "__init__.py").write_text("")
    code = "from harness.doctor import _names; print([c.name for c in _names() if c.state == 'failed'])"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "replay" in done.stdout or "replay" in done.stderr


def test_init_writes_once_and_says_what_it_did(tmp_path: Path) -> None:
    place = Path(tempfile.mkdtemp(prefix="harness-test-"))
    try:
        first = json.loads(run("init", "-C", place, "--clock", "event", "--json").stdout)
        assert first["wrote_config"]
        text = (place / "harness.toml").read_text()
        assert 'clock = "event"' in text
        again = json.loads(run("init", "-C", place, "--json").stdout)
        assert (again["wrote_config"], again["log_id"]) == (False, first["log_id"])
        other = run("init", "-C", place, "--clock", "server")
        assert other.returncode == 1
        assert "with the event clock" in other.stderr
        assert (place / "harness.toml").read_text() == text
    finally:
        shutil.rmtree(place)


def test_a_reader_that_leaves_is_no_error(folder: Path) -> None:
    command = (
        f"{sys.executable} -c 'from harness.cli.entry import main; main()' "
        f"log tail -n 9 -C {folder} | head -1"
    )
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True, env=CLEAN
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
