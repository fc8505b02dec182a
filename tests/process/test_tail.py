"""A tail scores what is appended, once, with the bits of a replay, whoever dies in between."""

import random

import msgspec
import pytest

from harness.budget import Budget, Meter
from harness.replay_batches import GROUP_ROWS
from harness.replay_errors import BudgetSpent, TrainedInRange
from harness.replay_runner import run_replay
from harness.replays import list_replays
from harness.tail.follower import place_of
from harness.tail.status import status
from harness.tail.tails import NO_END, RESUMED, SHED, list_tails
from harness.tail.targets import Target
from replay.digest import canonical_digest
from tests.support.history import POINT, History
from tests.support.tails import (
    QUICK,
    SOURCE,
    added,
    bare,
    followed,
    scores_of,
    serving,
    stored_scores,
    wait_until,
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tail_models.py").write_text(SOURCE)
    return tmp_path


@pytest.mark.parametrize("seed", range(3))
def test_a_tail_has_the_bits_of_a_replay_however_the_log_grew(event_log, folder, seed):
    chance = random.Random(seed)
    history = History(event_log, size=chance.choice([1, 37, 500]))
    reference = added(event_log, folder, "linear")
    follower, done = followed(event_log, folder, reference), 0
    while done < 1_500:
        grown = min(done + chance.randint(1, 400), 1_500)
        history.decisions(done, grown)
        if chance.random() < 0.3:
            history.outcomes(done, grown)
        if chance.random() < 0.2:  # another process goes on where this one was
            follower = followed(event_log, folder, reference)
        while follower.step(event_log.head().position):
            pass
        done = grown
    stop = event_log.head().position + 1
    tailed = scores_of(event_log, reference, 1, stop)
    assert canonical_digest(tailed) == canonical_digest(bare(event_log, folder, reference, 1, stop))
    assert tailed.num_rows == 1_500
    place = place_of(event_log, follower.tail)
    assert (place.rows, place.failed) == (1_500, tailed.column("error").drop_null().length())
    stored = [b.num_rows for b in event_log.read(1, stop + 10**6, kind="score", decision_point=POINT)]
    assert sum(stored) == 1_500


def test_a_tail_takes_over_from_a_replay_and_a_replay_from_a_tail(event_log, folder):
    history, reference = History(event_log), added(event_log, folder, "linear")
    start, stop = history.decisions(0, 1_000)
    run_replay(event_log, reference, decision_point=POINT, start=start, stop=stop, folder=folder)
    follower = followed(event_log, folder, reference, start)
    assert follower.step(event_log.head().position) == 0
    history.decisions(1_000, 1_200)
    assert follower.step(event_log.head().position) == 200
    _first, end = history.decisions(1_200, 1_300)
    again = run_replay(event_log, reference, decision_point=POINT, start=start, stop=end, folder=folder)
    assert again.rows == 100
    assert scores_of(event_log, reference, start, end).num_rows == 1_300
    assert len(list_replays(event_log)) == 2


def test_what_a_replay_scored_since_a_tail_began_waits_for_nobody_and_is_scored_once(event_log, folder):
    history, reference = History(event_log), added(event_log, folder, "linear")
    history.decisions(0, 100)
    follower = followed(event_log, folder, reference)
    follower.step(event_log.head().position)
    start, stop = history.decisions(100, 400)
    (found,) = status(event_log)
    assert found.behind == found.head + 1 - start
    run_replay(event_log, reference, decision_point=POINT, start=1, stop=stop, folder=folder)
    (found,) = status(event_log)
    assert (found.behind, found.behind_s, found.rows) == (0, 0.0, 100)
    # One that goes on by itself looks once in a while; another worker looks as it takes over.
    follower.pass_over()
    for one in (follower, followed(event_log, folder, reference)):
        assert one.step(event_log.head().position) == 0
        assert one.place.through == event_log.head().position
    history.decisions(400, 450)
    (found,) = status(event_log)
    assert found.behind == 50
    assert follower.step(event_log.head().position) == 50
    assert stored_scores(event_log) == 450
    assert scores_of(event_log, reference, 1, 10**9).num_rows == 450


def test_what_an_unfinished_replay_scored_is_not_scored_again(event_log, folder):
    history, reference = History(event_log), added(event_log, folder, "linear")
    history.decisions(0, 100)
    tail = followed(event_log, folder, reference).tail
    start, stop = history.decisions(100, 100 + 2 * GROUP_ROWS)
    with pytest.raises(BudgetSpent):
        run_replay(
            event_log,
            reference,
            decision_point=POINT,
            start=start,
            stop=stop,
            folder=folder,
            meter=Meter(Budget(cpu_s=1e-9)),
        )
    follower = followed(event_log, folder, reference)
    follower.pass_over()
    while follower.step(event_log.head().position):
        pass
    assert stored_scores(event_log) == 100 + 2 * GROUP_ROWS
    assert place_of(event_log, tail).rows == 100 + GROUP_ROWS


def test_two_workers_at_once_store_each_score_once(event_log, folder):
    history, reference = History(event_log), added(event_log, folder, "linear")
    history.decisions(0, 100)
    one, other = (followed(event_log, folder, reference) for _ in range(2))
    assert one.step(event_log.head().position) == 100
    history.decisions(100, 150)
    assert other.step(event_log.head().position) == 0  # its batch is another's: it looks anew
    assert other.step(event_log.head().position) == 50
    assert one.step(event_log.head().position) == 50  # the same batch again: the log answers as before
    assert (one.place.sequence, one.place.rows) == (other.place.sequence, other.place.rows) == (2, 150)
    rows = [b.num_rows for b in event_log.read(1, 10**9, kind="score", decision_point=POINT)]
    assert rows == [100, 50]


def test_what_a_worker_without_lease_says_late_misleads_nobody(event_log, folder):
    history, reference = History(event_log), added(event_log, folder, "linear")
    history.decisions(0, 100)
    late = followed(event_log, folder, reference)
    late.step(event_log.head().position)
    history.decisions(100, 200)
    followed(event_log, folder, reference).step(event_log.head().position)
    late.say(RESUMED)
    place = place_of(event_log, late.tail)
    assert (place.sequence, place.rows) == (2, 200)
    assert followed(event_log, folder, reference).step(event_log.head().position) == 0


def test_what_is_shed_is_counted_and_a_replay_can_score_it_later(event_log, folder):
    history, reference = History(event_log), added(event_log, folder, "linear")
    history.decisions(0, 100)
    follower = followed(event_log, folder, reference)
    follower.step(event_log.head().position)
    _start, stop = history.decisions(100, 400)
    history.outcomes(0, 10)
    assert follower.shed(event_log.head().position) == 300
    history.decisions(400, 450)
    assert follower.step(event_log.head().position) == 50
    assert place_of(event_log, follower.tail) == follower.place
    assert (follower.place.rows, follower.place.shed) == (150, 300)
    (event,) = event_log.controls(SHED)
    assert event.body["decisions"] == 300
    run = run_replay(event_log, reference, decision_point=POINT, start=1, stop=stop, folder=folder)
    assert run.rows == 300
    assert scores_of(event_log, reference, 1, event_log.head().position).num_rows == 450


def test_a_worker_sheds_by_what_waits_and_by_nothing_that_was_appended_or_scored_before(event_log, folder):
    history, reference = History(event_log), added(event_log, folder, "linear")
    _start, stop = history.decisions(0, 600)
    run_replay(event_log, reference, decision_point=POINT, start=1, stop=stop, folder=folder)
    history.outcomes(0, 600)
    history.decisions(600, 640)  # all that waits, after hundreds of positions where nothing does
    tail = followed(event_log, folder, reference).tail
    (found,) = status(event_log)
    assert (found.behind, found.rows) == (41, 0)  # the event that it began is behind them
    pace = msgspec.structs.replace(QUICK, shed_after=100)
    with serving(event_log, [Target(reference, POINT, 1)], folder, pace):
        wait_until(lambda: scores_of(event_log, reference, 1, 10**9).num_rows == 640)
        history.outcomes(0, 600)
        history.decisions(640, 660)
        wait_until(lambda: scores_of(event_log, reference, 1, 10**9).num_rows == 660)
        assert event_log.controls(SHED) == []
    history.decisions(660, 800)
    with serving(event_log, [Target(reference, POINT, 1)], folder, pace) as (said, _result, _thread):
        wait_until(lambda: place_of(event_log, tail).shed)
    assert [event.body["decisions"] for event in event_log.controls(SHED)] == [140]
    assert [text for _model, text in said if "left out" in text] == [
        "left out 140 decisions: more than 100 positions waited"
    ]


def test_a_model_that_was_trained_on_what_it_would_follow_is_refused(event_log, folder):
    history = History(event_log)
    _start, stop = history.decisions(0, 100)
    reference = added(event_log, folder, "linear", trained_until=stop - 1)
    with pytest.raises(TrainedInRange):
        followed(event_log, folder, reference, start=1)
    assert followed(event_log, folder, reference, start=stop).step(event_log.head().position) == 0
    assert [tail.parts for tail in list_tails(event_log)] == [((stop, NO_END),)]
