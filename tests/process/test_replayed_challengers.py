"""Replays by a challenger's process: what it cost, and how a run ends that it cannot go on with."""

import pytest

from harness.challengers import MEASURED, account_of
from harness.models import add_model
from harness.replay_errors import ScoredOtherwise
from harness.replays import STOPPED, left_of, list_replays, read_scores
from replay.digest import canonical_digest
from replay.isolation import Limits
from replay.model_errors import ChallengerEnded, ModelBroken
from tests.support.history import POINT, History
from tests.support.shop_models import SOURCE, added, replayed


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "shop_models.py").write_text(SOURCE)
    return tmp_path


@pytest.fixture
def history(event_log):
    return History(event_log)


def test_what_a_challenger_cost_is_in_the_log_beside_its_scores(event_log, folder, history):
    part = history.decisions(0, 3_000)
    added(event_log, folder, "linear")
    run = replayed(event_log, folder, "linear:1", part)
    (event,) = event_log.controls(MEASURED, run.id)
    found = account_of([event])
    assert found["block_latency"]["count"] == 3
    assert found["starts"] == 1
    assert found["kills"] == {}
    positions = [position for position, _us in event.body["row_samples"]]
    assert len(positions) == found["row_latency"]["count"] == 4
    assert set(positions) <= set(range(*part))
    assert account_of([event, event])["block_latency"]["count"] == 6


def test_an_isolated_run_scores_the_bits_of_one_in_our_own_process(event_log, fresh_log, folder):
    digests = set()
    for log, limits in ((event_log, Limits()), (fresh_log, Limits(in_process=True))):
        part = History(log).decisions(0, 3_000)
        added(log, folder, "logistic")
        run = replayed(log, folder, "logistic:1", part, limits=limits)
        scores = read_scores(log, run.model_digest, POINT, *part)
        digests.add(canonical_digest(scores.select(["decision_id", "score", "error"])))
        assert len(log.controls(MEASURED, run.id)) == (0 if limits.in_process else 1)
    assert len(digests) == 1


def test_a_hopeless_challenger_is_stopped_and_its_account_says_why(event_log, folder, history):
    (folder / "hostile.py").write_text(
        "import os\n"
        "def late(frame):\n"
        "    return os._exit(9) if (frame['items'] == 0).any() else frame.amount\n"
        "late.inputs = ('amount', 'items')\n"
    )
    part = history.decisions(0, 5_000)
    add_model(event_log, "py:hostile:late", name="late", version="1", folder=folder)
    with pytest.raises(ChallengerEnded, match=r"31 ends of its process .* exit code 9"):
        replayed(event_log, folder, "late:1", part, limits=Limits(kills_max=30))
    (run,) = list_replays(event_log)
    assert run.completed_at is None
    (event,) = event_log.controls(MEASURED, run.id)
    assert event.body["kills"] == {"crash": 31}
    (end,) = event_log.controls(STOPPED, run.id)
    assert (end.body["reason"], end.body["kills"]) == ("circuit open", {"crash": 31})
    assert end.body["left"] == [list(part) for part in left_of(event_log, run)]
    assert run.ended == f"ended: circuit open (31 crash in {end.body['blocks']} blocks)"
    assert run.stopped is None


def test_a_model_that_fails_whatever_it_is_given_ends_its_run_by_name(event_log, folder, history):
    part = history.decisions(0, 2_000)
    added(event_log, folder, "broken")
    with pytest.raises(ModelBroken):
        replayed(event_log, folder, "broken:1", part)
    (run,) = list_replays(event_log)
    assert run.ended.startswith("ended: model failed: Model ")
    assert "no such column" in run.ended
    assert run.completed_at is None
    (end,) = event_log.controls(STOPPED, run.id)
    assert "no such column" in end.body["error"]


def test_a_model_of_chance_that_two_score_at_once_is_named_and_the_run_goes_on(event_log, folder, history):
    (folder / "dice.py").write_text(
        "import random\ndef roll(frame):\n    return [random.random() for _ in range(len(frame))]\n"
        "roll.inputs = ('items',)\n"
    )
    add_model(event_log, "py:dice:roll", name="dice", version="1", folder=folder)
    part = history.decisions(0, 9_000)

    class Beside:
        """The log of one who is overtaken by another, before his second group is stored."""

        groups = 0

        def __getattr__(self, name):
            return getattr(event_log, name)

        def append(self, batch):
            self.groups += 1
            if self.groups == 2:
                replayed(event_log, folder, "dice:1", part)
            return event_log.append(batch)

    with pytest.raises(ScoredOtherwise, match="Another process scores this run of dice:1 too") as caught:
        replayed(Beside(), folder, "dice:1", part)
    assert (caught.value.group, caught.value.exit_code) == (2, 1)
    run = replayed(event_log, folder, "dice:1", part)
    assert (run.rows, run.completed_at is not None) == (9_000, True)
