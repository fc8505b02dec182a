"""What a replay tells of its progress: a run that goes on counts in no rate what was scored before."""

import pytest

from harness.budget import Budget, Meter
from harness.cli.progress import Pace, Shown
from harness.engines.engine import InProcess
from harness.models import add_model
from harness.replay_batches import GROUP_ROWS
from harness.replay_errors import BudgetSpent
from harness.replay_runner import run_replay, run_replays
from tests.process.test_progress import watched
from tests.support.history import POINT, History

SOURCE = """
def half(frame):
    return frame["amount"] / 2
half.inputs = ("amount",)
def third(frame):
    return frame["amount"] / 3
third.inputs = ("amount",)
"""
ROWS = 3 * GROUP_ROWS


class Watching:
    """Takes what a terminal would show."""

    def __init__(self):
        self.begun, self.told = [], []
        self.shown = Shown(lambda **said: self.told.append(said["completed"]), Pace(now=0.0))

    def begin(self, done, total):
        self.begun.append((done, total))
        self.shown.begin(done, total)

    def __call__(self, done):
        self.shown(done)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "watched_models.py").write_text(SOURCE)
    return tmp_path


@pytest.fixture
def part(event_log, folder):
    for name in ("half", "third"):
        add_model(event_log, f"py:watched_models:{name}", name=name, version="1", folder=folder)
    return History(event_log).decisions(0, ROWS)


@pytest.mark.parametrize("engine", [None, InProcess()])
def test_a_run_that_goes_on_begins_where_it_was(event_log, folder, part, engine):
    start, stop = part
    how = {"decision_point": POINT, "start": start, "stop": stop, "folder": folder}
    first = Watching()
    with pytest.raises(BudgetSpent):
        run_replay(event_log, "half:1", **how, progress=first, meter=Meter(Budget(cpu_s=1e-9)))
    again = Watching()
    run_replay(event_log, "half:1", **how, progress=again, engine=engine)
    assert first.begun == [(0, stop - start)]
    ((done, total),) = again.begun
    assert (done, total) == (first.told[-1], stop - start)
    assert 0 < done < total == again.told[-1]


def test_several_begin_where_the_slowest_does(event_log, folder, part):
    start, stop = part
    how = {"decision_point": POINT, "start": start, "stop": stop, "folder": folder}
    with pytest.raises(BudgetSpent):
        run_replay(event_log, "half:1", **how, meter=Meter(Budget(cpu_s=1e-9)))
    watching = Watching()
    run_replays(event_log, ["half:1", "third:1"], **how, progress=watching)
    assert watching.begun == [(0, stop - start)]
    assert watching.told == sorted(watching.told)
    assert watching.told[-1] == stop - start


def test_a_terminal_is_told_positions_and_the_time_that_is_left(event_log, folder, part, monkeypatch):
    for name, value in (("HARNESS_DATABASE_URL", event_log.url), ("TERM", "xterm"), ("COLUMNS", "120")):
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    start, stop = map(str, part)
    _said, shown = watched("replay", "run", "--model", "half:1", "-d", POINT, "--from", start, "--to", stop)
    assert "positions/s" in shown
    assert "rows/s" not in shown
    assert "0:00:00" in shown
