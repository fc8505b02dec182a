"""What a tail says of itself: why it ended, how long what waits has waited, and who was asked to drain."""

import threading
import time

import pytest

from harness.cli.output import to_json
from harness.cli.replay import _state
from harness.cli.shadow import _row
from harness.database import open_log
from harness.lease import Lease
from harness.models import add_model
from harness.remembered import RememberedModel
from harness.replay_errors import StateAltered
from harness.replay_runner import run_replay
from harness.replays import list_replays
from harness.tail import worker
from harness.tail.status import status
from harness.tail.tails import ASKED, BROKEN, RESUMED, STOPPED, ask, list_tails
from harness.tail.targets import Target
from harness.tail.worker import LEASE, Pace, follow
from tests.support.history import POINT, History
from tests.support.tails import QUICK, SOURCE, added, followed, serving, stored_scores, wait_until

WHY = "has other bytes than the log names"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tail_models.py").write_text(SOURCE)
    return tmp_path


REMEMBERS = """
class Count:
    inputs = ("kind", "items")
    seen = 0
    def predict(self, frame):
        return frame["items"] * 0.5 + self.seen
    def observe(self, frame):
        self.seen += len(frame)
    def snapshot(self):
        return str(self.seen).encode()
    def restore(self, state):
        self.seen = int(state)
"""


def test_a_damaged_state_is_the_reason_that_lists_show(event_log, folder, monkeypatch):
    start, stop = History(event_log).decisions(0, 100)
    (folder / "counting.py").write_text(REMEMBERS)
    add_model(event_log, "py:counting:Count?key=kind", name="count", version="1", folder=folder)
    of = {"decision_point": POINT, "start": start, "stop": stop, "folder": folder}

    def altered(*_of):
        raise StateAltered("states/a/b", 7)

    with monkeypatch.context() as damaged:
        damaged.setattr(RememberedModel, "_go_back", altered)
        with pytest.raises(StateAltered):
            run_replay(event_log, "count:1", **of)
        assert WHY in _state(list_replays(event_log)[0])
        with serving(event_log, [Target("count:1", POINT, 1)], folder) as (_said, result, thread):
            thread.join(60)
            assert result == [1]
        (found,) = status(event_log)
        assert (found.last, found.followed) == (BROKEN, False)
        assert WHY in _row(found)
    assert _state(run_replay(event_log, "count:1", **of)) == "completed"


def test_a_tail_whose_model_does_not_open_any_more_says_so_once(event_log, folder):
    History(event_log).decisions(0, 100)
    reference = added(event_log, folder, "linear")
    followed(event_log, folder, reference)
    (folder / "tail_models.py").write_text(SOURCE + "# altered\n")
    for _turn in range(2):
        with serving(event_log, [Target(reference, POINT, 1)], folder) as (_said, result, thread):
            thread.join(60)
            assert result == [1]
    assert len(event_log.controls(BROKEN)) == 1
    (found,) = status(event_log)
    assert found.reason.startswith("ended: model failed: Model 'py:tail_models:linear' has digest ")
    assert found.reason in _row(found)
    assert found.reason in to_json(found)


def test_a_completed_run_is_answered_from_the_log_without_its_model(event_log, folder, monkeypatch):
    start, stop = History(event_log).decisions(0, 100)
    reference = added(event_log, folder, "linear")
    run = run_replay(event_log, reference, decision_point=POINT, start=start, stop=stop, folder=folder)
    (folder / "tail_models.py").unlink()
    assert run == run_replay(
        event_log, reference, decision_point=POINT, start=start, stop=stop, folder=folder
    )


def test_who_ends_a_worker_is_told_apart_from_a_worker_that_was_lost(event_log, folder):
    History(event_log).decisions(0, 100)
    reference = added(event_log, folder, "linear")
    with serving(event_log, [Target(reference, POINT, 1)], folder):
        wait_until(lambda: stored_scores(event_log) == 100)
    (found,) = status(event_log)
    assert (found.last, found.reason) == (STOPPED, "its worker was told to end")
    followed(event_log, folder, reference).say(RESUMED)  # and no word since
    assert "not followed: its worker ended without a word" in _row(status(event_log)[0])


def test_what_waits_gets_older_while_nothing_else_is_appended(fresh_log, folder):
    reference = added(fresh_log, folder, "linear")
    start, _stop = History(fresh_log).decisions(0, 100)
    followed(fresh_log, folder, reference, start)
    before = status(fresh_log)[0].behind_s
    time.sleep(0.05)
    after = status(fresh_log)[0]
    assert after.behind == 101  # the event that it began by is appended too
    assert after.behind_s >= before + 0.05


def draining(log, folder, reference):
    """Drain a tail up to the end of the log as it is, in a thread, as the command does."""
    for tail in list_tails(log):
        ask(log, tail.id, "drain")
    pace = Pace(
        **{name: getattr(QUICK, name) for name in ("poll_s", "linger_s", "look_s", "retry_s")}, until=1
    )
    stop, target = threading.Event(), Target(reference, POINT, 1)

    def work():
        follow(
            lambda: open_log(url=log.url), target, stop=stop, told=lambda *_: None, pace=pace, folder=folder
        )

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return stop, thread


def test_a_worker_that_was_getting_ready_when_it_was_asked_to_drain_is_asked_again(event_log, folder):
    History(event_log).decisions(0, 100)
    reference = added(event_log, folder, "linear")
    follower = followed(event_log, folder, reference)
    with Lease(event_log.url, LEASE, follower.tail.id) as other:
        assert other.held
        stop, thread = draining(event_log, folder, reference)
        follower.say(RESUMED)
        wait_until(lambda: len(event_log.controls(ASKED)) == 2)
        time.sleep(5 * QUICK.retry_s)
        assert len(event_log.controls(ASKED)) == 2
        assert event_log.controls(ASKED)[-1].position > event_log.controls(RESUMED)[-1].position
        stop.set()
        thread.join(60)


def test_a_worker_that_is_asked_to_stop_while_it_opens_its_model_stops(event_log, folder, monkeypatch):
    History(event_log).decisions(0, 100)
    reference = added(event_log, folder, "linear")
    tail, real = followed(event_log, folder, reference).tail, worker.challenger

    def slow(*of, **how):
        ask(event_log, tail.id, "stop")
        return real(*of, **how)

    monkeypatch.setattr(worker, "challenger", slow)
    with serving(event_log, [Target(reference, POINT, 1)], folder) as (_said, result, thread):
        thread.join(60)
        assert result == [0]
    assert event_log.controls(STOPPED)[-1].body["reason"] == "asked to stop"


@pytest.mark.parametrize("what", ["stop", "drain", None])
def test_a_worker_that_waits_long_for_a_hint_hears_at_once_that_it_is_told_to_end(event_log, folder, what):
    History(event_log).decisions(0, 100)
    reference, stop = added(event_log, folder, "linear"), threading.Event()
    pace = Pace(poll_s=3600, look_s=0.05)
    how = {"stop": stop, "told": lambda *_of: None, "pace": pace, "folder": folder}
    opened = lambda: open_log(url=event_log.url)  # noqa: E731
    thread = threading.Thread(
        target=follow, args=(opened, Target(reference, POINT, 1)), kwargs=how, daemon=True
    )
    thread.start()
    wait_until(lambda: stored_scores(event_log) == 100)
    time.sleep(0.2)  # it waits by now
    if what is None:
        stop.set()
    else:
        ask(event_log, list_tails(event_log)[0].id, what)
    thread.join(60)
    assert not thread.is_alive()
