"""Challengers side by side: one that its policy rejects is asked no more, the others are scored as ever."""

import json
from pathlib import Path

import pytest

from harness.budget import Budget, Meter
from harness.cli.main import run
from harness.database import create_log
from harness.experiment_errors import ExperimentConcluded
from harness.experiment_lint import read_experiment
from harness.experiments import register
from harness.log.log import Log
from harness.looks import recompute, stored_looks, take_look
from harness.models import add_model, get_model
from harness.race import STOPPED, Runner, places, race
from harness.replay_errors import BudgetSpent
from harness.replays import scored_parts
from harness.verdicts import record_verdict
from tests.support import servers
from tests.support.shop import POINT, Shop, experiment_text

DAYS, FIRST = 24, 800


def filled(log: Log, folder: Path) -> Shop:
    shop = Shop(log)
    for name in ("oracle", "contrary", "broken"):
        uri = f"py:tests.support.shop:{name}"
        add_model(log, uri, name=name, version="1", trained_until=0, inputs=["x"], folder=folder)
        path = folder / f"{name}.toml"
        path.write_text(experiment_text(name, f"{name}:1"))
        register(log, read_experiment(path))
    shop.days(0, DAYS)
    return shop


@pytest.fixture
def shop(event_log: Log, tmp_path: Path) -> Shop:
    return filled(event_log, tmp_path)


def last_scored(log: Log, name: str) -> int:
    return max(stop for _, stop in scored_parts(log, get_model(log, f"{name}:1").digest, POINT))


def test_a_hopeless_challenger_is_stopped_where_its_policy_rejects_it_and_the_others_go_on(
    shop: Shop, tmp_path: Path
) -> None:
    log = shop.log
    end = log.head().position + 1 - 60  # behind the last decision come outcomes alone
    good, bad, broken = race(log, ["oracle", "contrary", "broken"], first=FIRST, folder=tmp_path)
    assert (good.state, good.stop) == ("scored", end)
    assert (bad.state, broken.state) == ("stopped", "failed")
    assert "brier: e-value" in bad.reasons[0]
    assert bad.stop in list(places(bad.start, end, FIRST))[:-1]
    assert last_scored(log, "contrary") == bad.stop
    assert last_scored(log, "oracle") == end
    (taken,) = stored_looks(log, "contrary")
    assert (taken.look.verdict.state, taken.look.as_of.position) == ("REJECT", bad.stop - 1)
    assert taken.look.stop == bad.stop
    ((_, recomputed),) = recompute(log, "contrary", 1)
    assert recomputed.body() == taken.look.body()
    (event,) = log.controls(STOPPED)
    assert (event.subject, event.body["as_of"]) == ("contrary", bad.stop - 1)
    assert not stored_looks(log, "oracle")

    # At each place before, the policy did not reject what was known there.
    for place in places(bad.start, bad.stop, FIRST):
        earlier = take_look(log, "contrary", place - 1, dry_run=True).look
        assert (earlier.verdict.state == "REJECT") == (place == bad.stop)

    before = log.head().position
    assert race(log, ["contrary"], first=FIRST, folder=tmp_path) == [bad]
    assert log.head().position == before
    assert record_verdict(log, "contrary").body["state"] == "REJECT"
    with pytest.raises(ExperimentConcluded):
        race(log, ["oracle", "contrary"], first=FIRST, folder=tmp_path)


def test_cut_again_and_again_it_ends_as_it_would_have(
    shop: Shop, tmp_path: Path, database_url: str, migrated: str
) -> None:
    log = shop.log
    found: list[Runner] = []
    cuts = 0
    while not found:
        try:
            found = race(
                log,
                ["oracle", "contrary"],
                first=FIRST,
                folder=tmp_path,
                meter=Meter(Budget(memory_mb=1.0)),
            )
        except BudgetSpent:
            cuts += 1
        assert cuts < 40
    assert cuts > 1
    with servers.fresh_database(database_url, migrated) as url, create_log(url=url, clock="event") as other:
        filled(other, tmp_path)
        whole = race(other, ["oracle", "contrary"], first=FIRST, folder=tmp_path)
        rejected = [each.look.verdict.digest for each in stored_looks(other, "contrary")]
    assert found == whole
    assert [each.look.verdict.digest for each in stored_looks(log, "contrary")] == rejected


def test_where_nothing_is_known_on_the_way_nothing_is_stopped(event_log: Log, tmp_path: Path) -> None:
    late = Shop(event_log)
    uri = "py:tests.support.shop:contrary"
    add_model(event_log, uri, name="contrary", version="1", trained_until=0, inputs=["x"], folder=tmp_path)
    path = tmp_path / "late.toml"
    path.write_text(experiment_text("late", "contrary:1"))
    register(event_log, read_experiment(path))
    for day in range(12):
        late.decisions(day)
    for day in range(12):
        late.outcomes(day)
    (found,) = race(event_log, ["late"], first=FIRST, folder=tmp_path)
    assert found.state == "scored"


def test_the_command_says_who_was_stopped_and_what_is_next(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_DATABASE_URL", shop.log.url)
    monkeypatch.setattr("harness.race.FIRST_POSITIONS", FIRST)
    assert run(["replay", "race", "oracle", "contrary", "--max-time", "1h"]) == 0
    out = capsys.readouterr().out
    assert "stopped  contrary" in out
    assert "scored   oracle" in out
    assert 'Record the verdict with "harness decide contrary".' in out
    assert run(["replay", "race", "oracle", "broken", "--json"]) == 1
    states = [each["state"] for each in json.loads(capsys.readouterr().out)]
    assert states == ["scored", "failed"]
    assert run(["replay", "race", "nobody"]) == 2
