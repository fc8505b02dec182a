"""A tail of an experiment that is over ends, whoever scored its last decisions, and nothing waits for it."""

from pathlib import Path

from harness.experiment_lint import read_experiment
from harness.experiments import register
from harness.log.log import Log
from harness.replay_runner import run_replay
from harness.tail.status import status
from harness.tail.targets import of_experiment
from tests.support import shop
from tests.support.shop import DECISIONS, POINT, Shop, experiment_text
from tests.support.tails import serving

# A day more than its window: what is recorded late, within the label's window, is its own.
SCORED = 4 * DECISIONS


def over(log: Log, folder: Path) -> Shop:
    """Return a shop whose experiment ran for three of its six days."""
    opened = shop.entered(log, folder, ["oracle"])
    opened.days(0, 1)
    path = folder / "short.toml"
    path.write_text(experiment_text("short").replace("2026-04-11", "2026-03-05"))
    register(log, read_experiment(path))
    opened.days(1, 6)
    return opened


def test_one_whose_window_a_replay_has_scored_ends(event_log: Log, tmp_path: Path) -> None:
    over(event_log, tmp_path)
    (target,) = of_experiment(event_log, "short")
    stop = event_log.head().position + 1
    run_replay(event_log, "oracle:1", decision_point=POINT, start=target.start, stop=stop, folder=tmp_path)
    with serving(event_log, [target], tmp_path) as (said, result, thread):
        thread.join(60)
        assert result == [0]
    assert said[-1][1].endswith("the window of short is over; 0 scored")


def test_what_comes_after_its_window_waits_for_nobody(event_log: Log, tmp_path: Path) -> None:
    again = over(event_log, tmp_path)
    with serving(event_log, of_experiment(event_log, "short"), tmp_path) as (said, _result, thread):
        thread.join(60)
    assert said[-1][1].endswith(f"the window of short is over; {SCORED} scored")
    again.days(6, 7)
    (found,) = status(event_log)
    assert (found.rows, found.behind, found.behind_s) == (SCORED, 0, 0.0)
    assert found.reason == "the window of short is over"
