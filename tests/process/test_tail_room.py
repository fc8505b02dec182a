"""Tails leave connections of the server to those who record, and none waits for room without a word."""

import threading

import psycopg
import pytest

from harness.database import open_log
from harness.replay_errors import TooManyTails
from harness.tail import worker
from harness.tail.room import CONNECTIONS, connections, room
from harness.tail.targets import Target
from harness.tail.worker import Pace, serve
from tests.support.history import POINT, History
from tests.support.tails import QUICK, SOURCE, added, scores_of, serving, wait_until


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tail_models.py").write_text(SOURCE)
    return tmp_path


@pytest.fixture
def targets(event_log, folder):
    History(event_log).decisions(0, 100)
    return [Target(added(event_log, folder, name), POINT, 1) for name in ("linear", "slow")]


def served(log, targets, folder, pace, stop=None):
    said = []
    end = stop or threading.Event()
    told = lambda target, text: said.append((target.model, text))  # noqa: E731
    failed = serve(
        lambda: open_log(url=log.url), lambda _log: targets(), end, told=told, pace=pace, folder=folder
    )
    return failed, said


def test_a_third_of_the_connections_is_left_to_those_who_record(event_log, folder, targets):
    assert room(event_log) * CONNECTIONS <= connections(event_log) * 2 / 3
    asked = "select count(*) from pg_stat_activity where datname = current_database()"
    with psycopg.connect(event_log.url, autocommit=True) as watching:
        before = watching.execute(asked).fetchone()[0]
        with serving(event_log, targets, folder):
            wait_until(lambda: all(scores_of(event_log, t.model, 1, 10**9).num_rows == 100 for t in targets))
            held = watching.execute(asked).fetchone()[0] - before
    assert held <= 1 + CONNECTIONS * len(targets)  # the one is of whoever looks for targets


def test_more_than_there_is_room_for_is_refused_before_anything_is_followed(
    event_log, folder, targets, monkeypatch
):
    monkeypatch.setattr(worker, "room", lambda _log: 1)
    with pytest.raises(TooManyTails, match="2 models are to be followed at once; this server has room for 1"):
        served(event_log, lambda: targets, folder, QUICK)
    assert event_log.controls("tail.*") == []


def test_what_comes_when_there_is_no_room_any_more_says_that_it_waits(
    event_log, folder, targets, monkeypatch
):
    monkeypatch.setattr(worker, "room", lambda _log: 1)
    stop, asked = threading.Event(), []
    with open_log(url=event_log.url) as own:  # a log is for one thread

        def choose():
            if scores_of(own, targets[0].model, 1, 10**9).num_rows == 100:
                asked.append(1)
            if len(asked) > 3:
                stop.set()
            return targets if asked else targets[:1]

        failed, said = served(event_log, choose, folder, QUICK, stop)
    assert failed == 0
    assert [text for model, text in said if model == targets[1].model] == [
        "waits: no room beside 1 others until one of them ends"
    ]


def test_a_drain_takes_turns_where_there_is_no_room_for_all(event_log, folder, targets, monkeypatch):
    monkeypatch.setattr(worker, "room", lambda _log: 1)
    failed, _said = served(
        event_log, lambda: targets, folder, Pace(until=event_log.head().position, look_s=0.05)
    )
    assert failed == 0
    assert [scores_of(event_log, each.model, 1, 10**9).num_rows for each in targets] == [100, 100]
