"""Replays in one pass and in parts: the log holds what one model alone in one process puts there."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

import harness.kept_models
import harness.scored_parts
from harness.challengers import MEASURED
from harness.engines.engine import InProcess
from harness.engines.errors import ClusterFailed, EngineLost, NotShared, PartPoisoned
from harness.engines.futures import Futures
from harness.engines.local import Local
from harness.log.log import Log
from harness.model_check import Question, check, may_join
from harness.models import add_model
from harness.replay_batches import GROUP_ROWS
from harness.replay_runner import replay_in_parts, run_replay, run_replays
from harness.replays import ReplayRun, list_replays
from replay.model_errors import ModelBroken
from replay.score import BLOCK_ROWS, JOINED
from tests.support.history import POINT, History
from tests.support.parts import once_killed

ROWS = 5 * GROUP_ROWS + 100
SOURCE = """
import numpy as np

def logistic(frame):
    return 1 / (1 + np.exp(-frame["amount"] / 10))
logistic.inputs = ("amount",)

def linear(frame):
    return frame["amount"] * 0.01 + frame["items"]
linear.inputs = ("amount", "items")

def broken(frame):
    raise RuntimeError("no such column")
broken.inputs = ("items",)
"""
Parts = Sequence[Any]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.scored_parts.PART_ROWS", GROUP_ROWS)


def filled(log: Log, folder: Path, rows: int = ROWS) -> tuple[int, int]:
    (folder / "engine_models.py").write_text(SOURCE)
    part = History(log, size=3_000).decisions(0, rows)
    for name in ("logistic", "linear", "broken"):
        add_model(log, f"py:engine_models:{name}", name=name, version="1", folder=folder)
    return part


def stored(log: Log, run: ReplayRun) -> list[tuple[int, str]]:
    """Return the score batches of a run as they were appended: how many rows, and their digest."""
    found = [batch for chunk in log.history(run.started_at, log.head().position + 1) for batch in chunk]
    return [(one.header.events, one.digest) for one in found if one.header.kind == "score"]


@pytest.fixture
def alone(fresh_log: Log, tmp_path: Path) -> dict[str, tuple[ReplayRun, list[tuple[int, str]]]]:
    start, stop = filled(fresh_log, tmp_path)
    found = {}
    for name in ("linear", "logistic"):
        run = run_replay(
            fresh_log, f"{name}:1", decision_point=POINT, start=start, stop=stop, folder=tmp_path
        )
        found[name] = (run, stored(fresh_log, run))
    return found


class Backwards:
    def map(self, fn: Callable[[Any], Any], parts: Parts) -> Iterator[tuple[int, Any]]:
        return ((index, fn(parts[index])) for index in reversed(range(len(parts))))


class Killing:
    """Two processes; each part kills its worker when it is run for the first time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def map(self, fn: Callable[[Any], Any], parts: Parts) -> Iterator[tuple[int, Any]]:
        return Local(2).map(partial(once_killed, str(self.folder), fn), parts)


def test_in_parts_the_log_holds_the_same_batches(
    event_log: Log, tmp_path: Path, alone: dict[str, tuple[ReplayRun, list[tuple[int, str]]]]
) -> None:
    start, stop = filled(event_log, tmp_path)
    expected, batches = alone["linear"]
    done: list[int] = []
    run = run_replay(
        event_log,
        "linear:1",
        decision_point=POINT,
        start=start,
        stop=stop,
        folder=tmp_path,
        engine=Killing(tmp_path / "marks"),
        progress=done.append,
    )
    assert len(list((tmp_path / "marks").iterdir())) == 6
    assert (run.id, run.digest, run.errors) == (expected.id, expected.digest, expected.errors)
    assert stored(event_log, run) == batches
    assert done == sorted(done)
    (cost,) = event_log.controls(MEASURED, run.id)
    assert 1 <= cost.body["starts"] <= 6, "a worker that lives has the model of the part before open"
    assert sum(cost.body["block_latency"].values()) == 21
    with ThreadPoolExecutor(2) as threads:
        other = run_replay(
            event_log,
            "logistic:1",
            decision_point=POINT,
            start=start,
            stop=stop,
            folder=tmp_path,
            engine=Futures(threads),
        )
    assert other.digest == alone["logistic"][0].digest
    (cost,) = event_log.controls(MEASURED, other.id)
    assert 1 <= cost.body["starts"] <= 2, "two threads had six parts"
    assert sum(cost.body["block_latency"].values()) == 21
    assert not harness.kept_models._KEPT


def test_an_engine_that_is_lost_leaves_a_run_that_goes_on(
    event_log: Log, tmp_path: Path, alone: dict[str, tuple[ReplayRun, list[tuple[int, str]]]]
) -> None:
    start, stop = filled(event_log, tmp_path)
    of = (POINT, start, stop)

    class Losing:
        def map(self, fn: Callable[[Any], Any], parts: Parts) -> Iterator[tuple[int, Any]]:
            return ((index, fn(parts[index])) for index in (0, 1, 3))

    lost = replay_in_parts(event_log, "linear:1", Losing(), of, folder=tmp_path)
    assert isinstance(lost, EngineLost)
    (run,) = list_replays(event_log)
    assert run.completed_at is None
    assert sum(rows for rows, _digest in stored(event_log, run)) == 2 * GROUP_ROWS
    whole = replay_in_parts(event_log, "linear:1", Backwards(), of, folder=tmp_path)
    assert isinstance(whole, ReplayRun)
    assert (whole.digest, stored(event_log, whole)) == (alone["linear"][0].digest, alone["linear"][1])


def test_a_cluster_that_fails_leaves_a_run_that_goes_on_to_the_same_digest(
    event_log: Log, tmp_path: Path, alone: dict[str, tuple[ReplayRun, list[tuple[int, str]]]]
) -> None:
    start, stop = filled(event_log, tmp_path)
    of = (POINT, start, stop)

    class Failing:
        def map(self, fn: Callable[[Any], Any], parts: Parts) -> Iterator[tuple[int, Any]]:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:  # which one death breaks
                yield from Futures(pool).map(partial(_fatal, 2, fn), parts)

    failed = replay_in_parts(event_log, "linear:1", Failing(), of, folder=tmp_path)
    assert isinstance(failed, ClusterFailed)
    (run,) = list_replays(event_log)
    assert run.completed_at is None
    with ThreadPoolExecutor(2) as threads:
        whole = replay_in_parts(event_log, "linear:1", Futures(threads), of, folder=tmp_path)
    assert isinstance(whole, ReplayRun)
    assert (whole.id, whole.digest, stored(event_log, whole)) == (
        run.id,
        alone["linear"][0].digest,
        alone["linear"][1],
    )


def _elsewhere(folder: str, fn: Callable[[Any], Any], part: Any) -> Any:
    import os

    os.chdir(folder)
    return fn(part)


def test_workers_look_where_the_one_who_asks_is_and_say_what_is_not_shared(
    event_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, stop = filled(event_log, tmp_path, rows=100)
    of, elsewhere = (POINT, start, stop), tmp_path / "elsewhere"
    elsewhere.mkdir()

    class Elsewhere:
        def map(self, fn: Callable[[Any], Any], parts: Parts) -> Iterator[tuple[int, Any]]:
            return Local(1).map(partial(_elsewhere, str(elsewhere), fn), parts)

    gone = replay_in_parts(event_log, "linear:1", Elsewhere(), of, folder=tmp_path / "gone")
    assert isinstance(gone, NotShared)
    assert gone.folder == str(tmp_path / "gone")
    monkeypatch.chdir(tmp_path)
    found = replay_in_parts(event_log, "linear:1", Elsewhere(), of)
    assert isinstance(found, ReplayRun)
    assert found.rows == 100


def _fatal(number: int, fn: Callable[[Any], Any], part: Any) -> Any:
    import os

    if part.number == number:
        os._exit(9)
    return fn(part)


def test_a_part_that_ends_its_workers_is_named_and_what_was_before_it_stays(
    event_log: Log, tmp_path: Path
) -> None:
    start, stop = filled(event_log, tmp_path)

    class Poisoned:
        def map(self, fn: Callable[[Any], Any], parts: Parts) -> Iterator[tuple[int, Any]]:
            return Local(1).map(partial(_fatal, 2, fn), parts)

    found = replay_in_parts(event_log, "linear:1", Poisoned(), (POINT, start, stop), folder=tmp_path)
    assert isinstance(found, PartPoisoned)
    first = start + 2 * GROUP_ROWS
    assert f"positions [{first}, {first + GROUP_ROWS})" in str(found)
    (run,) = list_replays(event_log)
    assert sum(rows for rows, _digest in stored(event_log, run)) == 2 * GROUP_ROWS


def test_several_challengers_share_a_pass_and_fail_alone(
    event_log: Log, tmp_path: Path, alone: dict[str, tuple[ReplayRun, list[tuple[int, str]]]]
) -> None:
    start, stop = filled(event_log, tmp_path)
    middle = start + GROUP_ROWS + 7
    place: dict[str, Any] = {"decision_point": POINT, "folder": tmp_path}
    run_replay(event_log, "logistic:1", start=start, stop=middle, **place)
    reads: list[str] = []
    real = event_log.read

    def counted(*places: int, kind: str, **how: Any) -> Any:
        if kind == "decision" and places[1] - places[0] > GROUP_ROWS:
            reads.append(kind)
        return real(*places, kind=kind, **how)

    event_log.read = counted  # type: ignore[method-assign]
    names = ["broken:1", "linear:1", "logistic:1", "nobody:1", "linear:1"]
    broken, linear, logistic, nobody, again = run_replays(event_log, names, start=start, stop=stop, **place)
    assert isinstance(broken, ModelBroken)
    assert "nobody:1" in str(nobody)
    assert again == linear
    assert isinstance(linear, ReplayRun)
    assert linear.digest == alone["linear"][0].digest
    assert isinstance(logistic, ReplayRun)
    assert logistic.ranges == ((middle, stop),)
    assert logistic.rows == stop - middle
    # What the inputs are is looked up for each; the decisions are read once.
    assert len(reads) == 1 + 3
    assert {event.body["model"] for event in event_log.controls(MEASURED)} >= {"linear:1", "logistic:1"}


def test_a_pass_that_cannot_be_read_ends_every_reader(event_log: Log, tmp_path: Path) -> None:
    start, stop = filled(event_log, tmp_path)
    real = event_log.read

    def failing(*places: int, columns: Any = None, **how: Any) -> Any:
        batches = real(*places, columns=columns, **how)
        if columns is not None and len(columns) > 2:
            yield next(batches)
            raise OSError("the disk is gone")
        yield from batches

    event_log.read = failing  # type: ignore[method-assign]
    with pytest.raises(OSError, match="disk is gone"):
        run_replays(
            event_log,
            ["linear:1", "logistic:1"],
            decision_point=POINT,
            start=start,
            stop=stop,
            folder=tmp_path,
        )


def test_parts_begin_where_groups_do_and_cover_every_position(event_log: Log, tmp_path: Path) -> None:
    start, stop = filled(event_log, tmp_path)
    ranges = [(start, start + 5_000), (start + 6_000, stop)]
    parts = harness.scored_parts.parts_of(event_log, POINT, ranges, rows=GROUP_ROWS)
    places = [part.places for part in parts]
    assert places[:3] == [
        (start, start + GROUP_ROWS),
        (start + GROUP_ROWS, start + 5_000),
        (start + 6_000, start + 6_000 + GROUP_ROWS),
    ]
    assert places[-1][1] == stop
    assert [part.number for part in parts] == list(range(len(parts)))
    assert harness.scored_parts.parts_of(event_log, "shop.elsewhere", [(1, 9)]) != []
    assert next(iter(InProcess().map(repr, parts)))[1] == f"positions [{start}, {start + GROUP_ROWS})"


def test_blocks_are_joined_for_a_model_that_was_measured_and_the_scores_are_the_same(
    event_log: Log, fresh_log: Log, tmp_path: Path
) -> None:
    rows = 2 * JOINED * BLOCK_ROWS + 500
    digests = []
    for log in (fresh_log, event_log):
        (tmp_path / "engine_models.py").write_text(SOURCE)
        start, stop = History(log, size=4_000).decisions(0, rows)
        add_model(log, "py:engine_models:logistic?nulls=pass", name="m", version="1", folder=tmp_path)
        if log is event_log:
            checked = check(log, Question("m:1", POINT, start, stop), folder=tmp_path)
            assert checked.joined == JOINED
            assert may_join(log, checked.digest)
        run = run_replay(log, "m:1", decision_point=POINT, start=start, stop=stop, folder=tmp_path)
        (cost,) = log.controls(MEASURED, run.id)
        digests.append((run.digest, cost.body["joined"].get("calls", 0), sum(cost.body["kills"].values())))
    assert digests == [(digests[0][0], 0, 0), (digests[0][0], 2, 0)]
