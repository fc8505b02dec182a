"""What cannot be done with a log is said with the right exit code, and nothing is harmed by asking."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from harness.cli.main import run
from harness.errors import NotFound, RangeUnusable, UsageError
from harness.integrity.note import notes_of
from harness.log.log import Log
from harness.log.seal import seal
from harness.training.folder import TrainingSet
from harness.training.historical import get_historical_features
from tests.support.filled import fill, reads, small_log


@pytest.fixture
def log(database_url: str, migrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """A sealed log of the folder `tmp_path`, which commands find there."""
    with small_log(database_url, migrated, tmp_path / ".harness" / "store") as made:
        monkeypatch.setenv("HARNESS_DATABASE_URL", made.url)
        fill(made, 2)
        seal(made)
        yield made


@pytest.fixture
def said(log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command in the folder of the log; it must end with `code`. Return all that it said."""

    def call(*arguments: str, code: int) -> str:
        capsys.readouterr()
        found = run([*arguments, "-C", str(tmp_path)])
        told = capsys.readouterr()
        assert found == code, told
        return told.out + told.err

    return call


ASKED = pd.DataFrame({"unit": ["u"], "event_timestamp": pd.to_datetime(["2026-01-01T00:00Z"])})
POINT = ("-d", "flights.late")
AHEAD = "2099-01-01T00:00:00Z"
SET = ("--label", "late", "--window", "1h")
RANGES = [
    ("log", "gaps"),
    ("log", "export", "out"),
    ("log", "verify"),
    ("query", "select count(*) from decisions"),
    ("consistency", "check", "py:tests.support.shop:oracle", *POINT),
    ("replay", "run", "--model", "m:1", *POINT),
    ("training-set", "create", *POINT, *SET),
]


@pytest.mark.parametrize("command", RANGES, ids=lambda words: " ".join(words[:2]))
def test_a_range_that_is_none_is_refused_by_its_name(
    said: Callable[..., str], command: tuple[str, ...]
) -> None:
    assert "The range [5, 3) is none." in said(*command, "--from", "5", "--to", "3", code=2)
    told = said(*command, "--from", "90001", "--to", "90002", code=2)
    assert "Position 9000" in told
    assert "does not exist" in told
    # Each said something else of a range that begins beyond the end and has no --to.
    for more in ((), ("--to", "90002")):
        told = said(*command, "--from", "90001", *more, code=2)
        assert "Position 90001 does not exist: the log ends at " in told
        assert "Expected a range that begins at " in told
    for none in ("0", "-5"):
        assert f"The range [{none}, " in said(*command, "--from", none, code=2)
    assert "The range [1, 0) is none." in said(*command, "--to", "0", code=2)


@pytest.mark.parametrize("command", RANGES, ids=lambda words: " ".join(words[:2]))
def test_a_time_that_has_not_come_is_refused_by_its_name(
    log: Log, said: Callable[..., str], command: tuple[str, ...]
) -> None:
    before = log.head()
    for option in ("--from", "--to"):
        told = said(*command, option, AHEAD, code=2)
        assert "The time 2099-01-01T00:00:00+00:00 has not come: by the log's clock it is " in told
        assert "Leave the time out" in told
    assert log.head() == before


def test_no_set_is_as_known_at_a_place_that_is_yet_to_come(
    log: Log, said: Callable[..., str], tmp_path: Path
) -> None:
    before = log.head()
    for place, why in ((AHEAD, "has not come"), ("90001", "does not exist: the log ends at")):
        told = said("training-set", "create", *POINT, "--as-of", place, *SET, "--out", "set", code=2)
        assert why in told
    path = tmp_path / "set.toml"
    for line in (f"as_of = {AHEAD}", f"to = {AHEAD}"):
        path.write_text(
            f'decision_point = "flights.late"\n{line}\n[[labels]]\nname = "late"\nwindow = "1h"\n'
        )
        told = said("training-set", "create", "--spec", str(path), "--out", "set", code=2)
        assert "has not come" in told
    assert log.head() == before
    assert not (tmp_path / "set").exists()


def test_a_range_that_is_none_is_refused_from_python_too(log: Log) -> None:
    for start, stop in ((5, 3), (0, 3)):
        with pytest.raises(RangeUnusable):
            log.sql("select 1", start=start, stop=stop)
        with pytest.raises(RangeUnusable):
            list(log.read(start, stop, kind="decision"))
    with pytest.raises(RangeUnusable):
        seal(log, stop=0)


def test_verify_says_nothing_of_what_is_not_there(log: Log, said: Callable[..., str]) -> None:
    """Who asks for positions that a restore lost is not told that they are as they were appended."""
    end = log.head().position
    told = said("log", "verify", "--to", str(end + 2), code=2)
    assert f"Position {end + 1} does not exist" in told
    assert f"Expected a range that stops at {end + 1} or before." in told
    assert "are as appended" in said("log", "verify", "--to", str(end + 1), code=0)
    assert "0 events in 0 batches of [5, 5) are as appended" in said(
        "log", "verify", "--from", "5", "--to", "5", code=0
    )


def test_a_remedy_can_be_followed(log: Log, said: Callable[..., str], tmp_path: Path) -> None:
    end = log.head().position
    for command in (("show", str(end + 1)), ("prove", str(end + 1)), ("show", "0")):
        told = said("log", *command, code=2)
        assert f"Expected a position from 1 to {end}. " in told
        assert "leave the position out" not in told
    told = said("log", "export", str(tmp_path / "out"), "-d", "flights.lat", code=2)
    assert 'There is no decision point "flights.lat". Known: flights.late.' in told
    assert not (tmp_path / "out").exists()
    assert 'There is no decision point "flights.lat". Known: flights.late.' in said(
        "log", "tail", "-d", "flights.lat", code=2
    )
    assert said("log", "tail", "-d", "flights.late", "--kind", "control", code=0) == "", "known, and none"
    said("log", "checkpoint", code=0)
    for target in (tmp_path / "none" / "notes", tmp_path):
        told = said("log", "anchor", str(target), code=2)
        assert f'The file "{target}" cannot be written: ' in told
        assert "-C" not in told
    told = said("log", "prove", "1", "-o", str(tmp_path / "none" / "1.proof"), code=2)
    assert "1.proof" in told


def test_the_file_of_an_anchor_is_what_the_log_is_compared_with(
    log: Log, said: Callable[..., str], tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    for name in ("ada", "bob"):
        log.control("told", name, {})
        said("log", "checkpoint", code=0)
        said("log", "anchor", str(notes), code=0)
    kept = notes.read_bytes()
    assert len(notes_of(kept)) == 2
    # Two of the log's own and two of the file; then that file with one byte more or less.
    assert "and 4 checkpoints hold." in said("log", "verify", "--against", str(notes), code=0)
    for harmed in (kept.replace(b"\nposition ", b"\nposition 1", 1), kept[:-1], kept[1:], kept + b"x"):
        notes.write_bytes(harmed)
        said("log", "verify", "--against", str(notes), code=40)
    notes.write_bytes(kept)
    told = said("log", "recover", "--dry-run", "--against", str(notes), code=2)
    assert "There is nothing to recover" in told


def test_a_row_that_is_none_is_no_batch_to_be_sent_again(
    said: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said("log", "checkpoint", code=0)
    proof, key = tmp_path / "1.proof", tmp_path / "log.vkey"
    said("log", "prove", "1", "-o", str(proof), code=0)
    key.write_text(said("log", "key", "show", code=0))
    for other in (proof, key):
        assert run(["log", "check-proof", str(proof), "--key", str(key), "--row", str(other)]) == 40
        told = capsys.readouterr().err
        assert "The row does not hold: it is no file that --row of" in told
        assert "Send it again" not in told


def test_what_the_log_does_not_hold_is_not_said_to_be_unheard_of(
    log: Log, said: Callable[..., str], tmp_path: Path
) -> None:
    told = said("log", "prove", "nobody", code=2)
    assert 'There is no decision "nobody". Expected one that the log holds.' in told
    assert "harness log tail --kind decision" in told
    with pytest.raises(NotFound, match=r"Known: flights\.late\."):
        get_historical_features(log, ASKED, ["flights.lat:distance"])
    with pytest.raises(UsageError, match="holds no training set"):
        TrainingSet.open(tmp_path)


def test_the_table_of_what_there_is_tells_the_database_from_the_store(said: Callable[..., str]) -> None:
    sides, names, *rows = said("log", "stats", code=0).splitlines()
    whole, hot, sealed = (part.split() for part in names.split("|"))
    assert whole == ["kind", "decision", "point", "batches", "events"]
    assert hot == sealed == ["events", "bytes/event"]
    assert [part.strip() for part in sides.split("|")] == ["", "in the database", "sealed in the store"]
    bars = [place for place, letter in enumerate(names) if letter == "|"]
    table = [row for row in rows if row.count("|") == 2]
    assert {row.split()[0] for row in table} == {"control", "decision", "outcome"}
    assert all([place for place, one in enumerate(row) if one == "|"] == bars for row in (sides, *table))


def gone(path: Path) -> None:
    path.unlink()


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def of_another(path: Path) -> None:
    path.write_bytes(b"{}")


@pytest.mark.parametrize("what", ["segments/fraud/decision/*/*", "ledgers/*", "manifests/*"])
def test_a_harmed_file_of_the_store_is_named_and_nothing_else_is_harmed(
    log: Log, said: Callable[..., str], tmp_path: Path, what: str
) -> None:
    before, head = reads(log), log.head()
    (path,) = (tmp_path / ".harness" / "store").glob(f"*/{what}")
    whole = path.read_bytes()
    query = 'select sum(score), min(occurred_at), max(decision_id), sum("f.distance") from decisions'
    for harm in (gone, halved, emptied, flipped, a_folder, of_another):
        harm(path)
        told = said("log", "verify", code=40)
        assert path.name in told, harm
        assert "93 events were as appended until then. Restore the file from a backup of the store" in told
        if not what.startswith("ledgers"):  # which nobody reads for columns
            assert path.name in said("query", query, code=40), harm
        assert "Nothing new" in said("log", "seal", code=0)
        if path.is_dir():
            path.rmdir()
        path.write_bytes(whole)
        assert (reads(log), log.head()) == (before, head), harm
        said("log", "verify", code=0)
