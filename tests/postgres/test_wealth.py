"""The ledger of alpha-wealth: levels are drawn once, before the data, and never twice."""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness import wealth
from harness.cli.main import run
from harness.experiment_errors import WealthAltered, WealthDiffers
from harness.experiment_file import ExperimentFile
from harness.experiment_lint import read_experiment
from harness.experiments import check, get_experiment, register
from harness.log.log import Log
from harness.looks import take_look
from harness.verdicts import explain, record_verdict
from harness.wealth import DRAWN, draw_level, ledger
from tests.support.shop import Shop, entered, experiment_text

TABLE = '[wealth]\nledger = "returns"\n'
FIRST = 0.05 * 6 / math.pi**2


@pytest.fixture
def shop(event_log: Log, tmp_path: Path) -> Shop:
    return entered(event_log, tmp_path, ("oracle", "contrary"))


@pytest.fixture
def declare(tmp_path: Path) -> Any:
    def read(name: str, more: str = TABLE, **keys: Any) -> ExperimentFile:
        path = tmp_path / f"{name}.toml"
        path.write_text(experiment_text(name=name, more=more, **keys))
        return read_experiment(path)

    return read


def test_each_candidate_draws_its_level_once_and_before_its_registration(shop: Shop, declare: Any) -> None:
    seen = check(shop.log, declare("a"))["wealth"]
    assert (seen["turn"], seen["level"]) == (1, pytest.approx(FIRST))
    assert not shop.log.controls(DRAWN)  # a dry run draws nothing
    first = register(shop.log, declare("a"))
    (drawn,) = shop.log.controls(DRAWN)
    assert drawn.position < first.event.position
    assert first.level == pytest.approx(FIRST)
    assert first.plan.policy.alpha == first.level
    assert first.plan.digest == first.event.body["plan_digest"] != declare("a").plan.digest
    assert register(shop.log, declare("a")).event == first.event
    assert len(shop.log.controls(DRAWN)) == 1
    second = register(shop.log, declare("b"))
    assert second.level == pytest.approx(FIRST / 4)
    assert get_experiment(shop.log, "b").level == second.level


def test_what_is_shown_earns_a_larger_level_and_the_verdict_explains(shop: Shop, declare: Any) -> None:
    register(shop.log, declare("a"))
    shop.days(0, 41)
    assert take_look(shop.log, "a").look.verdict.state == "PROMOTE"
    assert register(shop.log, declare("b")).level == pytest.approx(FIRST / 4)  # not recorded: not shown yet
    record_verdict(shop.log, "a")
    assert register(shop.log, declare("c")).level == pytest.approx(2 * FIRST / 9)
    assert explain(shop.log, "a").looks == 1
    gate = next(g for g in explain(shop.log, "a").look.verdict.gates if g.hypothesis == "superiority")
    assert gate.e_limit == pytest.approx(1 / FIRST)
    assert [(line.draw.experiment, line.state) for line in ledger(shop.log)] == [
        ("a", "PROMOTE"),
        ("b", None),
        ("c", None),
    ]


def test_a_registration_that_died_after_its_draw_finds_it_again(shop: Shop, declare: Any) -> None:
    declared = declare("a").in_utc()
    draw = draw_level(shop.log, declared.wealth, 0.05, experiment="a", digest=declared.digest)
    register(shop.log, declare("b"))
    assert register(shop.log, declared).level == draw.level
    assert [line.draw.experiment for line in ledger(shop.log)] == ["a", "b"]


def test_two_experiments_at_once_never_spend_the_same_wealth(shop: Shop, declare: Any) -> None:
    declared = [declare(f"e{number}").in_utc() for number in range(6)]

    def draw(each: ExperimentFile) -> float:
        with Log(shop.log.url) as log:
            name = each.experiment.id
            return draw_level(log, each.wealth, 0.05, experiment=name, digest=each.digest).level  # type: ignore[arg-type]

    with ThreadPoolExecutor(6) as pool:
        levels = list(pool.map(draw, declared))
    assert sorted(levels, reverse=True) == pytest.approx([FIRST / turn**2 for turn in range(1, 7)])
    assert sum(levels) < 0.05
    assert [line.draw.turn for line in ledger(shop.log)] == [1, 2, 3, 4, 5, 6]


def test_another_alpha_in_the_same_ledger_is_refused(shop: Shop, declare: Any) -> None:
    register(shop.log, declare("a"))
    with pytest.raises(WealthDiffers, match=r'"share"; this file has 0\.05 and "any"'):
        register(shop.log, declare("b", more=TABLE + 'control = "any"\n'))
    assert len(shop.log.controls(DRAWN)) == 1


def test_a_level_that_the_log_does_not_give_is_named(
    shop: Shop, declare: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    register(shop.log, declare("a"))
    monkeypatch.setenv("HARNESS_DATABASE_URL", shop.log.url)
    assert run(["policy", "wealth"]) == 0
    assert "open" in capfd.readouterr().out
    with monkeypatch.context() as forged:
        forged.setattr(wealth, "_level", lambda *_: 0.049)
        register(shop.log, declare("greedy"))
    with pytest.raises(WealthAltered, match=r"0\.049"):
        ledger(shop.log)
    assert run(["policy", "wealth", "returns"]) == 40
