"""The demo from end to end on the embedded database, on one flight in fifty."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli.main import run as command
from harness.database import open_log
from harness.demo import models
from harness.demo.folder import prepare
from harness.demo.run import run
from harness.demo.story import Story
from harness.log.log import Log
from harness.training.folder import TrainingSet
from harness.verdicts import explain

pytest.importorskip("sklearn")


pytestmark = pytest.mark.xdist_group("demo")  # it is run once


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HARNESS_DATABASE_URL", raising=False)
        # Small trees: loading a model of a hundred for each look is what the demo's time goes into.
        patch.setitem(models.CHALLENGER, "max_iter", 10)
        patch.setitem(models.CHALLENGER, "learning_rate", 0.2)
        yield run(tmp_path_factory.mktemp("demo") / "out", sample=50)


@pytest.fixture(scope="module")
def log(told: Story) -> Iterator[Log]:
    with open_log(told.folder, create=False) as opened:
        yield opened


def test_every_event_reached_the_log(told: Story, log: Log) -> None:
    assert told.lost == 0
    for kind, count in (("decision", told.decisions), ("outcome", told.outcomes)):
        batches = log.read(1, log.head().position + 1, kind=kind, columns=["decision_id"])
        assert sum(batch.num_rows for batch in batches) == count


def test_the_story_happened_in_this_order(told: Story, log: Log) -> None:
    told_types = [event.type for event in log.controls()]
    first = [told_types.index(each) for each in (
        "feature_set.registered", "model.promoted", "training_set.created", "experiment.registered",
        "look.taken",
    )]  # fmt: skip
    assert first == sorted(first)
    assert told_types.count("look.taken") == len(told.first.looks) + len(told.second.looks)


def test_experiments_were_registered_before_their_windows(log: Log) -> None:
    seen = [event.body["registered"]["window"] for event in log.controls("experiment.registered")]
    assert seen == ["ahead", "ahead"]


def test_nothing_was_trained_on_what_came_later(told: Story, log: Log) -> None:
    for event in log.controls("training_set.created"):
        assert event.body["as_of"]["position"] < event.position
    assert told.first.training_rows > 1000


def test_the_looks_count_whole_days_that_have_matured(told: Story) -> None:
    for number, look in enumerate(told.first.looks, start=1):
        # The log's time is that of its last event: with few flights that may lie before midnight.
        ended = min(7 * number, 61)
        assert ended - 1 <= look.days <= ended
    assert told.second.looks[-1].days in (60, 61)


def test_the_champion_repeats_itself_to_the_bit(told: Story) -> None:
    assert told.noise_rows == told.scored > 500
    assert told.noise == 0


def test_stored_looks_are_what_the_log_gives(log: Log) -> None:
    assert explain(log, "late-gbm-1", 1).looks == 1


def test_the_training_set_on_disk_is_what_the_log_gives(told: Story, log: Log) -> None:
    folder = next((told.folder / "training-sets").iterdir())
    assert TrainingSet.open(folder).verify(log)["holds"]


def test_the_report_is_there(told: Story) -> None:
    assert "late-gbm:1" in told.report.read_text(encoding="utf-8")


def test_an_earlier_demo_in_use_is_left_alone(
    told: Story, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    # `log` holds the server: the folder must not be pulled away under it.
    assert command(["demo", "-C", str(told.folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().err)["error"]["type"] == "DemoFolderBusy"
    assert log.head().position == told.positions


def test_a_folder_of_ones_own_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert command(["demo", "-C", str(tmp_path)]) == 2
    assert "was not made by the demo" in capsys.readouterr().err


def test_a_finished_demo_can_be_replaced(told: Story, log: Log) -> None:
    log.close()
    assert prepare(told.folder) == told.folder
    assert not told.report.exists()
