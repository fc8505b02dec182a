"""Memory that is limited: a command says so and what it takes, registers nothing, and blames no bytes."""

import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from harness.cli import main as command_line
from harness.cli.main import run
from harness.log.log import Log
from harness.memory import MIB
from recorders import columns
from recorders.columns import decode_batch, encode_batch
from recorders.errors import CorruptBatch
from tests.support.batches import decisions
from tests.support.command_line import HARNESS
from tests.support.filled import fill, small_log
from tests.support.history import POINT, History

COUNT = "select count(*) from decisions"
SET = ("training-set", "create", "-d", POINT, "--label", "fraud", "--window", "3h", "--out", "made")


@pytest.fixture
def log(database_url: str, migrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    with small_log(database_url, migrated, tmp_path / ".harness" / "store") as log:
        fill(log, 1)
        history = History(log)
        history.decisions(0, 100)
        history.outcomes(0, 100)
        history.decisions(1_000, 1_001)
        monkeypatch.setenv("HARNESS_DATABASE_URL", log.url)
        monkeypatch.chdir(tmp_path)
        yield log


def limited(mib: int, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with so much address space, as after `ulimit -v`."""
    allowed = mib * MIB
    return subprocess.run(
        [*HARNESS, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed)),
    )


@pytest.mark.parametrize("words", [("query", COUNT), SET], ids=lambda words: words[0])
def test_too_little_for_the_libraries_is_said_before_they_are_loaded(
    log: Log, tmp_path: Path, words: tuple[str, ...]
) -> None:
    before = log.head()
    ended = limited(480, *words)
    assert ended.returncode == 1, ended.stderr
    assert 'There is not enough memory of 480 MiB that "ulimit -v" allows' in ended.stderr
    assert "Expected 640 MiB" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert log.head() == before
    assert not (tmp_path / "made").exists()


def test_what_the_libraries_may_have_is_enough_for_a_small_log(log: Log) -> None:
    for mib in (800, 1_200, 2_000):
        ended = limited(mib, "query", COUNT, "--csv")
        assert (ended.returncode, ended.stdout.splitlines()[1:]) == (0, ["136"]), (mib, ended.stderr)
    assert limited(640, *SET).returncode == 0


def test_a_thread_that_cannot_start_and_memory_that_is_not_given_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for failure in (
        MemoryError(),
        pa.ArrowMemoryError("malloc of size 1547520 failed"),
        RuntimeError("can't start new thread"),
        ImportError("/lib/one.so: failed to map segment from shared object"),
        OSError(12, "Cannot allocate memory"),
    ):

        def failing(*_given: object, told: BaseException = failure, **_more: object) -> None:
            raise told

        monkeypatch.setattr(command_line.cli, "main", failing)
        assert run(["query", COUNT, "--json"]) == 1
        told = capsys.readouterr().err
        assert '"type": "OutOfMemory"' in told
        assert "Raise the limit" in told


def test_another_failure_is_none_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_given: object, **_more: object) -> None:
        raise RuntimeError("dictionary changed size during iteration")

    monkeypatch.setattr(command_line.cli, "main", failing)
    with pytest.raises(RuntimeError, match="dictionary"):
        run(["query", COUNT])


@pytest.mark.parametrize(
    "failure",
    [pa.ArrowMemoryError("malloc of size 1547520 failed"), pa.ArrowInvalid("ZSTD_DCtx create failed")],
    ids=["malloc", "zstd"],
)
def test_a_batch_is_not_corrupt_where_nobody_has_room_for_it(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def refusing(*_given: object) -> None:
        raise failure

    data = encode_batch(decisions(3))
    assert decode_batch(data).num_rows == 3
    monkeypatch.setattr(columns, "_decode", refusing)
    with pytest.raises(MemoryError, match="failed"):
        decode_batch(data)


def test_a_batch_that_claims_more_than_any_may_have_is_corrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_given: object) -> None:
        raise pa.ArrowMemoryError(f"malloc of size {2**50} failed")

    monkeypatch.setattr(columns, "_decode", refusing)
    with pytest.raises(CorruptBatch, match="malloc"):
        decode_batch(encode_batch(decisions(3)))
