"""Commands that cannot do what they are asked: one message in three parts, never a traceback or a secret."""

import json
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from harness.database import open_log
from tests.support.batches import decisions, outcomes, stored
from tests.support.command_line import CLEAN, HARNESS, ROOT, run


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A log of six events, its server kept running; those at 3 and 4 are counted as three."""
    place = Path(tempfile.mkdtemp(prefix="harness-test-"))
    writer = uuid.uuid4()
    with open_log(place) as log:
        log.append(stored(decisions(2), writer, 1))
        log.append(replace(stored(decisions(2, first=5), writer, 2), events=3))
        log.append(stored(outcomes(1), writer, 3))
        yield place
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def empty() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="harness-test-"))
    with open_log(place):
        yield place
    shutil.rmtree(place)


REFUSED = [
    (["log", "show", "--", "--5"], '"--5" is no place in the log'),
    (["log", "show", "9999-12-31T23:59:59-14:00"], "is no place in the log"),
    (["log", "show", "9" * 5_000], "is no place in the log"),
    (["log", "show", "0"], "Expected a position from 1 to 6"),
    (["log", "show", "2013-01-01T00:00:00Z"], "Nothing was recorded by 2013-01-01T00:00:00Z"),
    (["log", "gaps", "--from", "9" * 5_000], "is no place in the log"),
    (["log", "verify", "--from", "1000"], "Position 1000 does not exist: the log ends at 6"),
    (["log", "verify", "--from", "3", "--to", "2"], "The range [3, 2) is none"),
]


@pytest.mark.parametrize(("arguments", "text"), REFUSED)
def test_a_place_that_is_none_is_one_message(folder: Path, arguments: list[str], text: str) -> None:
    done = run(*arguments[:2], "-C", folder, *arguments[2:])
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["verify", "--from", "5"], ["show", "1"], ["show", "0"]])
def test_an_empty_log_says_that_it_is_empty(empty: Path, arguments: list[str]) -> None:
    done = run("log", *arguments, "-C", empty)
    assert done.returncode == 2
    assert "the log is empty" in done.stderr
    assert run("log", "verify", "-C", empty).returncode == 0


def test_a_batch_that_cannot_be_read_is_one_line_and_is_found(folder: Path) -> None:
    tail = run("log", "tail", "-C", folder)
    lines = tail.stdout.splitlines()
    assert (tail.returncode, [int(line.split()[0]) for line in lines]) == (0, [1, 2, 3, 6])
    assert "unreadable (3 events, batch 2 of writer" in lines[2]
    for position in (3, 5):
        assert "unreadable" in run("log", "show", position, "-C", folder).stdout
    found = run("log", "verify", "-C", folder)
    assert found.returncode == 40
    assert "Unreadable at position 3, as it was appended" in found.stdout
    assert "6 events in 3 batches of [1, 7) are as appended" in found.stdout


def test_a_full_disk_behind_the_output_is_a_short_message(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*HARNESS, "log", "tail", "-C", str(folder)],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=CLEAN,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: The output cannot be written: No space left on device. Free some space there."
    ]


ADDRESSES = ["postgresql://ada:pa%zz@h/d", "postgresql://h/d?foo=bar", "ada:pa%zz@h/d"]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("command", [["log", "head"], ["doctor"], ["init"]])
def test_an_address_that_cannot_be_read_is_no_traceback(
    tmp_path: Path, address: str, command: list[str]
) -> None:
    done = run(*command, "-C", tmp_path, HARNESS_DATABASE_URL=address)
    said = done.stdout + done.stderr
    assert done.returncode == (1 if command == ["doctor"] else 2)
    assert "The database address" in said
    assert "Traceback" not in said
    assert "zz" not in said


def test_a_database_that_is_down_gives_the_first_reason(tmp_path: Path) -> None:
    done = run("log", "head", "-C", tmp_path, HARNESS_DATABASE_URL="postgresql://ada@127.0.0.1:1/log")
    assert "does not answer: Connection refused." in done.stderr


def test_a_folder_that_cannot_be_made_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / ".harness").write_text("")
    for place, command in [("file/below", "init"), ("taken", "init"), ("taken", "log head")]:
        done = run(*command.split(), "-C", tmp_path / place)
        assert done.returncode == 2, done.stderr
        assert "cannot be used" in done.stderr
        assert "Name another one with -C" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_refused_option_has_three_parts_for_programs() -> None:
    error = json.loads(run("log", "tail", "-n", "0", "--json").stderr)["error"]
    assert all(error[part] for part in ("happened", "expected", "remedy"))
    assert "harness log tail --help" in error["remedy"]
