"""Workers of a tail: who follows, who waits, what a signal, a kill and a crashed database cost."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import psycopg
import pytest

from harness.challengers import MEASURED
from harness.cli.shadow import _row
from harness.database import create_log, open_log
from harness.lease import Lease
from harness.log.log import Log
from harness.models import add_model
from harness.tail import worker
from harness.tail.status import status
from harness.tail.tails import BROKEN, RESUMED, STOPPED, ask, list_tails
from harness.tail.targets import Target
from harness.tail.worker import LEASE, Pace, follow
from tests.support import servers
from tests.support.answering import answering, halves
from tests.support.command_line import HARNESS
from tests.support.history import POINT, History
from tests.support.tails import QUICK, SOURCE, added, followed, scores_of, serving, stored_scores, wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tail_models.py").write_text(SOURCE)
    return tmp_path


def test_a_hopeless_challenger_ends_alone_and_its_neighbour_goes_on(event_log, folder):
    history = History(event_log)
    good, bad = added(event_log, folder, "linear"), added(event_log, folder, "broken")
    history.decisions(0, 1_100)
    targets = [Target(good, POINT, 1), Target(bad, POINT, 1)]
    with serving(event_log, targets, folder) as (said, result, thread):
        wait_until(lambda: event_log.controls(BROKEN))
        history.decisions(1_100, 1_200)
        wait_until(lambda: scores_of(event_log, good, 1, 10**9).num_rows == 1_200)
        for tail in list_tails(event_log):
            ask(event_log, tail.id, "stop")
        thread.join(60)
        assert result == [1]
    assert any(model == bad and "all failed" in text for model, text in said)
    failed = scores_of(event_log, bad, 1, 10**9)
    assert failed.column("error").null_count == 0
    assert {each.model: each.last for each in status(event_log)} == {good: STOPPED, bad: BROKEN}
    (reason,) = (each.reason for each in status(event_log) if each.model == bad)
    assert reason.startswith("ended: its last 1,")
    assert reason.endswith("decisions all failed")


def test_a_tail_whose_circuit_opened_says_so_with_its_counts(event_log, folder):
    (folder / "dying.py").write_text(
        "import os\ndef dies(frame):\n    os._exit(3)\ndies.inputs = ('amount',)\n"
    )
    add_model(event_log, "py:dying:dies", name="dies", version="1", folder=folder)
    History(event_log).decisions(0, 200)
    with serving(event_log, [Target("dies:1", POINT, 1)], folder) as (said, result, thread):
        thread.join(60)
        assert result == [1]
    assert any("12 ends of its process" in text for _model, text in said)
    (found,) = status(event_log)
    assert (found.last, found.reason) == (BROKEN, "ended: circuit open (12 crash in 0 blocks)")
    (measured,) = event_log.controls(MEASURED, found.id)
    assert measured.body["kills"] == {"crash": 12}


def test_a_tail_waits_for_a_server_that_is_away_and_says_so_once(event_log, folder):
    history = History(event_log)
    with answering() as server:
        uri = f"http+json://127.0.0.1:{server.server_port}/score?out=predictions.*.score"
        add_model(event_log, uri, name="served", version="1", inputs=("items",), folder=folder)
        history.decisions(0, 100)
        with serving(event_log, [Target("served:1", POINT, 1)], folder) as (said, _result, thread):
            wait_until(lambda: scores_of(event_log, "served:1", 1, 10**9).num_rows == 100)
            server.says = lambda handler, _values: handler.say(404, {"error": "no route"})
            history.decisions(100, 150)
            wait_until(lambda: event_log.controls(BROKEN))
            (found,) = status(event_log)
            assert found.followed
            assert found.reason.startswith("ended: model unavailable: Model ")
            assert "404" in found.reason
            assert found.worker == f"{socket.gethostname()}:{os.getpid()}"
            assert f"followed by {found.worker}, waits (model unavailable: " in _row(found)
            time.sleep(5 * QUICK.retry_s)
            server.says = halves
            wait_until(lambda: scores_of(event_log, "served:1", 1, 10**9).num_rows == 150)
            wait_until(lambda: status(event_log)[0].last == RESUMED)
            assert thread.is_alive()
    assert [text.partition(":")[0] for _model, text in said if "position" not in text] == ["waits", "goes on"]
    assert (len(event_log.controls(BROKEN)), len(event_log.controls(RESUMED))) == (1, 2)
    assert scores_of(event_log, "served:1", 1, 10**9)["error"].null_count == 150


def test_a_tail_is_behind_by_the_decisions_that_wait_and_by_nothing_else(event_log, folder):
    history, reference = History(event_log), added(event_log, folder, "linear")
    history.decisions(0, 100)
    follower = followed(event_log, folder, reference)
    while follower.step(event_log.head().position):
        pass
    history.outcomes(0, 100)
    (found,) = status(event_log)
    assert (found.rows, found.behind, found.behind_s) == (100, 0, 0.0)
    first, _after = history.decisions(100, 130)
    (found,) = status(event_log)
    assert (found.head, found.behind) == (event_log.head().position, event_log.head().position + 1 - first)


def test_the_second_worker_takes_over_when_the_first_is_gone(event_log, folder):
    history, reference = History(event_log), added(event_log, folder, "linear")
    history.decisions(0, 100)
    tail = followed(event_log, folder, reference).tail
    with Lease(event_log.url, LEASE, tail.id) as first:
        assert first.held
        with serving(event_log, [Target(reference, POINT, 1)], folder):
            history.decisions(100, 200)
            assert [each.followed for each in status(event_log)] == [True]
            assert event_log.controls(RESUMED) == []
            first.close()
            wait_until(lambda: scores_of(event_log, reference, 1, 10**9).num_rows == 200)
    assert [each.followed for each in status(event_log)] == [False]


def test_a_worker_that_waits_for_another_opens_no_model(event_log, folder, monkeypatch):
    history, reference = History(event_log), added(event_log, folder, "linear")
    history.decisions(0, 100)
    opened, asked = [], []
    real, held = worker.challenger, worker.is_held
    monkeypatch.setattr(worker, "challenger", lambda *of, **how: opened.append(1) or real(*of, **how))
    monkeypatch.setattr(worker, "is_held", lambda *of: asked.append(1) or held(*of))
    tail, target = followed(event_log, folder, reference).tail, Target(reference, POINT, 1)
    with Lease(event_log.url, LEASE, tail.id) as first, serving(event_log, [target], folder):
        wait_until(lambda: opened or len(asked) > 3)
        assert opened == []
        first.close()
        wait_until(lambda: scores_of(event_log, reference, 1, 10**9).num_rows == 100)
        assert opened == [1]


def test_drain_ends_at_the_end_of_the_log_as_it_was(event_log, folder):
    history, reference = History(event_log), added(event_log, folder, "linear")
    history.decisions(0, 300)
    target, stop = Target(reference, POINT, 1), threading.Event()
    pace = Pace(until=event_log.head().position)
    history.decisions(300, 400)
    opened = lambda: open_log(url=event_log.url)  # noqa: E731
    assert follow(opened, target, stop=stop, told=lambda *_: None, pace=pace, folder=folder)
    assert scores_of(event_log, reference, 1, 10**9).num_rows == 300
    assert event_log.controls(STOPPED)[-1].body["reason"] == "drained"


def crash(url):
    """Kill the backend that holds the lease: the whole server recovers, every connection is lost."""
    with psycopg.connect(url, autocommit=True) as connection:
        asked = "select pid from pg_stat_activity where application_name = 'harness tail'"
        wait_until(lambda: connection.execute(asked).fetchone())
        os.kill(connection.execute(asked).fetchone()[0], signal.SIGKILL)
        # Until the server ends this connection too, a new one is to the server that is about to go down.
        wait_until(lambda: is_lost(connection))
    wait_until(lambda: answers(url))


def is_lost(connection):
    try:
        connection.execute("select 1")
    except psycopg.OperationalError:
        return True
    return False


def answers(url):
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_database_that_crashes_under_it_costs_no_score_and_doubles_none(folder):
    with servers.embedded() as server, servers.fresh_database(server) as url:
        create_log(url=url, clock="event").close()
        for turn in range(3):
            with Log(url) as log:  # a crash ends this connection too
                history = History(log, size=20, name=f"history {turn}")
                reference = added(log, folder, "linear")
                with serving(log, [Target(reference, POINT, 1)], folder):
                    history.decisions(turn * 200, turn * 200 + 100)
                    crash(url)
                    with Log(url) as again:
                        history.log = again
                        history.decisions(turn * 200 + 100, turn * 200 + 200)
                        wait_until(lambda log=again, rows=turn * 200 + 200: stored_scores(log) >= rows)
        with Log(url) as log:
            assert stored_scores(log) == 600
            assert scores_of(log, reference, 1, 10**9).num_rows == 600
            assert log.verify().holds


def command(log, folder, *words):
    return subprocess.Popen(
        [*HARNESS, "shadow", *words],
        cwd=folder,
        env={**os.environ, "HARNESS_DATABASE_URL": log.url, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_killed_again_and_again_while_the_log_grows_it_scores_each_decision_once(event_log, folder):
    history, reference = History(event_log, size=50), added(event_log, folder, "slow")
    words = ("start", "--model", reference, "-d", POINT, "--from", "1", "--poll", "0.05")
    done = 0
    for _turn in range(3):
        worker = command(event_log, folder, *words)
        assert "follows from position" in worker.stdout.readline()
        history.decisions(done, done + 300)
        wait_until(lambda before=done: scores_of(event_log, reference, 1, 10**9).num_rows > before)
        worker.kill()
        worker.communicate()
        done += 300
    drained = command(event_log, folder, "drain", *words[1:7], "--json")
    out, err = drained.communicate(timeout=120)
    assert drained.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["said"].endswith("drained; 900 scored")
    assert stored_scores(event_log) == 900
    shown = command(event_log, folder, "status").communicate(timeout=60)[0].splitlines()
    assert shown[1].split()[:2] == [reference, POINT]
    assert "drained" in shown[1]


def test_a_signal_ends_it_after_the_block_in_hand_and_what_to_follow_must_be_said(event_log, folder):
    History(event_log).decisions(0, 50)
    reference = added(event_log, folder, "linear")
    worker = command(event_log, folder, "start", "--model", reference, "-d", POINT, "--from", "1")
    worker.stdout.readline()
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    assert worker.returncode == 0
    unclear = command(event_log, folder, "start")
    _out, err = unclear.communicate(timeout=60)
    assert unclear.returncode == 2
    assert "Expected names of experiments, or --model" in err
