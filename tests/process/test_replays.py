from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from harness.engines.futures import Futures
from harness.errors import NotFound, UnknownPosition
from harness.models import add_model, champion_at, get_model, list_models, open_registered
from harness.noise import noise_floor
from harness.replay_errors import ModelExists, NothingToScore, TrainedInRange
from harness.replay_runner import run_replay
from harness.replays import check_inputs, list_replays, read_scores
from harness.stored_scores import summary
from recorders.errors import LinkUnavailable
from recorders.fields import FeatureSet, Field
from replay.digest import canonical_digest
from replay.join import join
from replay.model_errors import ModelBroken, ModelChanged, ModelInputsError
from replay.pairs import pair
from tests.support.history import MINUTE, POINT, START, History, amounts
from tests.support.shop_models import SOURCE, added, replayed

ACCOUNT = ("rows", "scored", "failed", "errors", "digest")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "shop_models.py").write_text(SOURCE)
    return tmp_path


@pytest.fixture
def history(event_log):
    return History(event_log)


def test_a_model_is_registered_once_and_kept_by_content(event_log, folder):
    event = added(event_log, folder, "linear", trained_until=0)
    assert added(event_log, folder, "linear", trained_until=0) == event
    assert get_model(event_log, "linear:1").inputs == ("amount", "items")
    assert [found.subject for found in list_models(event_log)] == ["linear:1"]
    kept = list((folder / ".harness" / "models").iterdir())
    assert [path.read_text() for path in kept] == [SOURCE]
    with pytest.raises(ModelExists, match="under another version"):
        added(event_log, folder, "logistic", name="linear")
    with pytest.raises(ModelExists, match="differs: trained_until 0 registered, 1 here"):
        added(event_log, folder, "linear", trained_until=1)
    with pytest.raises(NotFound, match="linear:1"):
        get_model(event_log, "liner:1")


def test_a_changed_file_is_not_the_registered_model(event_log, folder):
    added(event_log, folder, "linear")
    (folder / "shop_models.py").write_text(SOURCE + "\n# changed")
    with pytest.raises(ModelChanged) as caught:
        open_registered(event_log, "linear:1", folder=folder)
    assert caught.value.exit_code == 40


def test_a_replay_scores_every_decision_once_and_answers_from_the_log_after(event_log, folder, history):
    part = history.decisions(0, 9_000)
    added(event_log, folder, "linear")
    done = []
    run = replayed(event_log, folder, "linear:1", part, progress=done.append)
    assert (run.rows, run.scored, run.failed) == (9_000, 8_908, 92)
    assert run.errors == {"missing input: amount": 92}
    # Counted while it was appended, the account is that of what the log holds.
    assert summary(event_log, run) == {name: getattr(run, name) for name in ACCOUNT}
    assert done == sorted(done)
    assert done[-1] == part[1] - part[0]
    head = event_log.head().position
    assert replayed(event_log, folder, "linear:1", part) == run
    assert event_log.head().position == head
    scores = read_scores(event_log, run.model_digest, POINT, *part)
    assert scores["decision_position"].to_pylist() == list(range(*part))
    numbers = np.arange(9_000)
    expected = np.where(numbers % 97 == 96, np.nan, amounts(numbers) * 0.01 + numbers % 7)
    assert np.array_equal(scores["score"].to_numpy(), expected, equal_nan=True)


def test_scores_do_not_depend_on_how_the_history_was_cut_into_batches(fresh_log, event_log, folder):
    digests = set()
    for log, size in ((fresh_log, 333), (event_log, 4_000)):
        part = History(log, size=size).decisions(0, 5_000)
        added(log, folder, "linear")
        run = replayed(log, folder, "linear:1", (part[0], part[1]))
        scores = read_scores(log, run.model_digest, POINT, *part)
        digests.add(canonical_digest(scores.select(["decision_id", "score"])))
    assert len(digests) == 1


def test_what_an_earlier_run_scored_is_not_scored_again(event_log, folder, history):
    first = history.decisions(0, 3_000)
    added(event_log, folder, "linear")
    replayed(event_log, folder, "linear:1", first)
    second = history.decisions(3_000, 5_000)
    run = replayed(event_log, folder, "linear:1", (first[0], second[1]))
    assert run.ranges == ((first[1], second[1]),)
    assert run.rows == 2_000
    assert read_scores(event_log, run.model_digest, POINT, first[0], second[1]).num_rows == 5_000
    known = event_log.as_of(run.started_at).position
    assert read_scores(event_log, run.model_digest, POINT, first[0], second[1], up_to=known).num_rows == 3_000
    assert [found.id for found in list_replays(event_log)][-1] == run.id


class Failing:
    """A log whose connection is lost at the n-th append of scores: before it, or after it was stored."""

    def __init__(self, log, survive, *, stored):
        self._log, self._left, self._stored = log, survive, stored

    def __getattr__(self, name):
        return getattr(self._log, name)

    def append(self, batch):
        self._left -= 1
        if self._left < 0 and not self._stored:
            raise LinkUnavailable("lost")
        receipt = self._log.append(batch)
        if self._left < 0:
            raise LinkUnavailable("lost after the commit")
        return receipt


@pytest.mark.parametrize("stored", [True, False])
def test_a_run_that_loses_its_log_goes_on_where_the_log_is(event_log, fresh_log, folder, stored):
    whole = None
    for log in (event_log, fresh_log):
        part = History(log).decisions(0, 13_000)
        added(log, folder, "linear")
        if log is fresh_log:
            for survive in (0, 1, 0):
                with pytest.raises(LinkUnavailable):
                    replayed(Failing(log, survive, stored=stored), folder, "linear:1", part)
        run = replayed(log, folder, "linear:1", part)
        scores = read_scores(log, run.model_digest, POINT, *part)
        assert scores.num_rows == run.rows == 13_000
        assert whole in (None, run.digest)
        whole = run.digest


def test_a_range_that_the_model_was_trained_on_is_invalid_before_anything_is_scored(
    event_log, folder, history
):
    part = history.decisions(0, 2_000)
    middle = part[0] + 1_000
    added(event_log, folder, "linear", trained_until=middle)
    head = event_log.head().position
    with pytest.raises(
        TrainedInRange, match=f"trained until position {middle}.*from position {middle + 1} on"
    ) as caught:
        replayed(event_log, folder, "linear:1", part)
    assert caught.value.exit_code == 30
    assert event_log.head().position == head
    assert replayed(event_log, folder, "linear:1", (middle + 1, part[1])).rows == 999


def test_trained_until_may_be_a_time(event_log, folder, history):
    part = history.decisions(0, 1_000)
    history.decisions(1_000, 1_500)
    event = added(event_log, folder, "linear", trained_until=START + 999 * MINUTE)
    assert event.body["trained_until"] == part[1] - 1


@pytest.mark.parametrize(
    ("attribute", "error", "said"),
    [("broken", ModelBroken, "each of the first 1024 rows"), ("unknown", ModelInputsError, "'colour'")],
)
def test_a_model_that_can_score_nothing_stops_the_run_with_nothing_stored(
    event_log, folder, history, attribute, error, said
):
    part = history.decisions(0, 2_000)
    added(event_log, folder, attribute)
    with pytest.raises(error, match=said):
        replayed(event_log, folder, f"{attribute}:1", part)
    assert list(event_log.read(1, event_log.head().position + 1, kind="score")) == []


@pytest.mark.parametrize("engine", [None, Futures(ThreadPoolExecutor(1))])
def test_what_cannot_be_scored_leaves_no_run_that_seems_to_go_on(event_log, folder, history, engine):
    part = history.decisions(0, 100)
    added(event_log, folder, "unknown")
    for error, of in ((NothingToScore, (part[1], part[1])), (ModelInputsError, part)):
        with pytest.raises(error):
            replayed(event_log, folder, "unknown:1", of, engine=engine)
    assert list_replays(event_log) == []


def test_an_empty_range_and_one_beyond_the_end_are_told_apart(event_log, folder, history):
    part = history.decisions(0, 100)
    added(event_log, folder, "linear")
    with pytest.raises(NothingToScore, match="No decision of"):
        run_replay(event_log, "linear:1", decision_point="other", start=1, stop=part[1], folder=folder)
    with pytest.raises(UnknownPosition):
        replayed(event_log, folder, "linear:1", (1, part[1] + 100))


def test_the_recorded_champion_can_be_replayed_and_paired(event_log, folder, history):
    part = history.decisions(0, 2_000)
    history.outcomes(0, 2_000)
    history.decisions(9_000, 9_001)  # later: the log's time passes
    add_model(event_log, "recorded:champion", name="champion", version="live", folder=folder)
    run = replayed(event_log, folder, "champion:live", part)
    decisions = event_log.read(*part, kind="decision", decision_point=POINT)
    outcomes = event_log.read(1, event_log.head().position + 1, kind="outcome")
    joined = join(
        pa.Table.from_batches(decisions),
        pa.Table.from_batches(outcomes),
        as_of=event_log.as_of(None),
        window=timedelta(hours=3),
        label="fraud",
    )
    paired = pair(joined, read_scores(event_log, run.model_digest, POINT, *part))
    assert paired.scored == joined.table.num_rows == 2_000
    assert paired.table["champion_score"].equals(paired.table["challenger_score"])


def test_the_noise_floor_is_what_the_champion_does_not_repeat(event_log, folder, history):
    numbers = np.arange(3_000)
    exact = 1 / (1 + np.exp(-amounts(numbers) / 10))
    part = history.decisions(0, 3_000, scores=np.where(numbers % 100 == 0, exact + 1e-7, exact))
    added(event_log, folder, "logistic", name="rules")
    floor = noise_floor(event_log, POINT, *part, folder=folder)
    assert floor["failed"] == 30
    assert floor["rows"] == 2_970
    assert floor["differing_scores"] == 30
    assert 0.9e-7 < floor["max_abs_difference"] < 1.1e-7
    assert floor["histogram"]["<= 1e-06"] == 30
    assert floor["histogram"]["equal"] == 2_940
    assert floor["decisions_compared"] == 0


def test_decisions_are_compared_where_the_registered_champion_decides(event_log, folder, history):
    part = history.decisions(0, 1_000)
    uri = "py:shop_models:logistic?threshold=0.5&decisions=block,pass"
    add_model(event_log, uri, name="rules", version="1", folder=folder)
    floor = noise_floor(event_log, POINT, *part, folder=folder)
    assert (floor["decisions_compared"], floor["differing_decisions"]) == (990, 0)
    assert floor["models"]["rules:1"]["decisions"] == 1_000


def test_a_champion_that_is_not_registered_is_counted(event_log, folder, history):
    part = history.decisions(0, 100)
    floor = noise_floor(event_log, POINT, *part, folder=folder)
    assert (floor["rows"], floor["unregistered"]) == (0, 100)


def test_who_was_champion_is_told_by_promotions_and_by_what_was_recorded(event_log, folder, history):
    part = history.decisions(0, 10)
    assert champion_at(event_log, POINT).promoted is None
    event_log.control("model.promoted", POINT, {"model": "linear", "version": "2"})
    then, now = champion_at(event_log, POINT, part[0] + 3), champion_at(event_log, POINT)
    assert (then.promoted, then.model, then.version, then.observed_at) == (None, "rules", "1", part[0] + 3)
    assert now.promoted is not None
    assert now.agrees is False
    assert champion_at(event_log, "nowhere").model is None


def test_inputs_are_looked_for_in_the_feature_sets_of_the_range_alone(event_log, history, folder):
    part = history.decisions(0, 10)
    event_log.register_feature_set(FeatureSet("elsewhere", 1, (Field("colour", "string"),)))
    added(event_log, folder, "unknown")
    with pytest.raises(ModelInputsError, match="colour"):
        replayed(event_log, folder, "unknown:1", part)


def test_a_look_whether_inputs_are_there_reads_no_features(event_log, history, folder, monkeypatch):
    part = history.decisions(0, 10)
    added(event_log, folder, "linear")
    info = get_model(event_log, "linear:1")
    asked, read = [], event_log.read
    monkeypatch.setattr(event_log, "read", lambda *at, **how: asked.append(how) or read(*at, **how))
    check_inputs(event_log, info, POINT, *part)
    assert [how["columns"] for how in asked] == [[]]


class StoppedError(Exception):
    """Somebody stops a replay in the middle."""


def stop_at(done):
    if done > 4_096:
        raise StoppedError


def test_another_range_scores_nothing_again_that_a_stopped_run_had_scored(event_log, history, folder):
    start, stop = history.decisions(0, 9_000)
    added(event_log, folder, "linear")
    with pytest.raises(StoppedError):
        replayed(event_log, folder, "linear:1", (start, stop), progress=stop_at)
    _first, grown = history.decisions(9_000, 10_000)
    run = replayed(event_log, folder, "linear:1", (start, grown))
    stored = [
        position
        for batch in event_log.read(1, event_log.head().position + 1, kind="score", decision_point=POINT)
        for position in batch.column("decision_position").to_pylist()
    ]
    assert len(stored) == len(set(stored)) == 10_000
    assert run.rows < 10_000
    assert read_scores(event_log, run.model_digest, POINT, start, grown).num_rows == 10_000
