"""A disk that is full while a command writes one file: exit code 1, what to do, and nothing half written."""

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.cli.main import run
from harness.integrity.note import notes_of
from harness.log.log import Log
from harness.training.folder import TrainingSet
from tests.support.filled import fill
from tests.support.history import POINT, History

ROOM = "Free some space there or name another file, and run the same command again."


@pytest.fixture
def log(event_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    monkeypatch.setenv("HARNESS_DATABASE_URL", event_log.url)
    monkeypatch.chdir(tmp_path)
    history = History(event_log)
    history.decisions(0, 50)
    history.outcomes(0, 50)
    history.decisions(1_000, 1_001)
    fill(event_log, 1)
    assert run(["log", "checkpoint"]) == 0
    return event_log


@pytest.fixture
def said(log: Log, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def call(*words: str, code: int) -> str:
        capsys.readouterr()
        found = run(words)
        told = capsys.readouterr()
        assert found == code, told
        return told.err

    return call


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A file that takes nothing: a link, since who removes it by its name must not remove the device."""
    link = tmp_path / "full"
    link.symlink_to("/dev/full")
    return link


@pytest.fixture
def small_files() -> Iterator[Callable[[int], None]]:
    """Let no file of this process grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def made(folder: Path) -> str:
    words = ("-d", POINT, "--label", "fraud", "--window", "3h", "--to", "52", "--out", str(folder))
    assert run(["training-set", "create", *words]) == 0
    return TrainingSet.open(folder).id


def test_a_full_disk_under_a_proof_is_room_to_free(said: Callable[..., str], full: Path) -> None:
    told = said("log", "prove", "d3", "-o", str(full), code=1)
    assert f'The file "{full}" was not written: No space left on device.' in told
    assert ROOM in told


def test_a_full_disk_under_what_is_told_of_a_set_is_not_that_of_a_whole_set(
    said: Callable[..., str], tmp_path: Path, full: Path
) -> None:
    name = made(tmp_path / "set")
    for words in (("prove", name, "d3"), ("diff", name, name)):
        told = said("training-set", *words, "--out", str(full), code=1)
        assert ROOM in told
        assert full.is_symlink()
        assert "whole set" not in told
        told = said("training-set", *words, "--out", str(tmp_path / "none" / "file"), code=2)
        assert "make its folder or correct its rights" in told


def test_of_a_proof_that_did_not_fit_nothing_is_left(
    said: Callable[..., str], small_files: Callable[[int], None], tmp_path: Path
) -> None:
    small_files(100)
    assert ROOM in said("log", "prove", "d3", "-o", "d3.proof", code=1)
    assert not (tmp_path / "d3.proof").exists()


def test_of_a_note_that_did_not_fit_nothing_is_added(
    log: Log, said: Callable[..., str], small_files: Callable[[int], None], tmp_path: Path
) -> None:
    file = tmp_path / "anchors"
    assert run(["log", "anchor", str(file)]) == 0
    before = file.read_bytes()
    fill(log, 1)
    assert run(["log", "checkpoint"]) == 0
    small_files(len(before) + 40)
    told = said("log", "anchor", str(file), code=1)
    assert f'The file "{file}" was not written: File too large.' in told
    assert ROOM in told
    assert file.read_bytes() == before
    small_files(resource.RLIM_INFINITY)
    assert run(["log", "anchor", str(file)]) == 0
    assert len(list(notes_of(file.read_bytes()))) == 2


@pytest.mark.parametrize(
    "words",
    [("log", "export", "rows"), ("query", "from decisions", "--parquet", "rows")],
    ids=lambda it: it[0],
)
def test_rows_that_do_not_fit_are_told_as_any_file(
    said: Callable[..., str], small_files: Callable[[int], None], tmp_path: Path, words: tuple[str, ...]
) -> None:
    """They had an error of their own, which spoke of a full disk and of rights in one breath."""
    before = sorted(tmp_path.iterdir())
    small_files(100)
    told = said(*words, code=1)
    assert 'The file "rows" was not written: File too large.' in told
    assert ROOM in told
    assert sorted(tmp_path.iterdir()) == before
    small_files(resource.RLIM_INFINITY)
    (tmp_path / "file").touch()
    assert "cannot be written: " in said(*words[:-1], str(tmp_path / "file" / "rows"), code=2)
