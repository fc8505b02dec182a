"""A look is the same to the byte whole and in parts: 1, 2 or 7 of them, shuffled, with workers killed."""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import harness.mapped_parts
import harness.measured_part
import harness.sorted_once
from harness.engines.engine import InProcess
from harness.engines.errors import EngineLost
from harness.engines.local import Local
from harness.experiment_lint import read_experiment
from harness.experiments import get_experiment, register
from harness.looks import range_at, take_look
from harness.mapped_parts import cut, undivided
from tests.support import servers
from tests.support.parted_shop import BRIER, DAY_UNIT, as_bytes, declared, measured, parted_shop
from tests.support.parts import once_killed
from tests.support.shop import POINT, Shop, experiment_text

LOGGED = '[[metrics]]\nname = "outcome"\nidentification = "logged_action"\nbound = 1.0\nweight_max = 5.0\n'
BLOCKED = (
    '[[metrics]]\nname = "accuracy"\npositive_decision = "offer"\nidentification = "blocked"\n'
    'blocked_decision = "none"\neffect = 0.05\n'
)
FAILING = BRIER + '[[metrics]]\nname = "error_rate"\nrole = "guardrail"\nmargin = 0.05\n'


@pytest.fixture(scope="module")
def shop(database_url: str, migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with (
        servers.fresh_database(database_url, migrated) as url,
        parted_shop(tmp_path_factory.mktemp("parts"), url) as shop,
    ):
        yield shop


class Shuffled:
    """Runs the parts in another order, and answers in a third."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def map(self, fn: Callable[[Any], Any], parts: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        found = [(index, fn(parts[index])) for index in self._order(len(parts))]
        yield from (found[at] for at in self._order(len(parts)))

    def _order(self, count: int) -> list[int]:
        return self.chance.sample(range(count), count)


class Killing:
    """Two processes; each part kills its worker when it is run for the first time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def map(self, fn: Callable[[Any], Any], parts: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        return Local(2).map(partial(once_killed, str(self.folder), fn), parts)


class Forgetful:
    """Leaves out the second part."""

    def map(self, fn: Callable[[Any], Any], parts: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        return ((index, fn(part)) for index, part in enumerate(parts) if index != 1)


@pytest.mark.parametrize(
    ("name", "unit", "metrics"),
    [
        ("day", DAY_UNIT, BRIER),
        ("column", 'kind = "column"', BRIER),
        ("request", 'kind = "request"', BRIER),
        ("failing", 'kind = "request"', FAILING),
        ("logged", 'kind = "request"', LOGGED),
        ("blocked", 'kind = "request"', BLOCKED),
    ],
)
def test_any_parts_in_any_order_give_the_same_bytes(
    shop: Shop, tmp_path: Path, name: str, unit: str, metrics: str
) -> None:
    declared(shop, tmp_path, name, unit=unit, metrics=metrics)
    whole = take_look(shop.log, name, folder=tmp_path).look
    expected = measured(shop.log, name, InProcess(), 1)
    assert whole.evidence == expected.evidence.to_json().decode()
    assert whole.scores.digest == expected.scores.digest
    assert expected.integrity.reasons["duplicate"] == 60
    assert expected.integrity.reasons["immature"] > 0
    assert expected.integrity.used > 0
    for seed, parts in enumerate((2, 7, 7, 20)):
        found = measured(shop.log, name, Shuffled(seed), parts)
        assert found.outcomes == expected.outcomes
        assert found.integrity == expected.integrity
        assert as_bytes(found) == as_bytes(expected), (seed, parts)


def test_workers_that_are_killed_change_nothing(shop: Shop, tmp_path: Path) -> None:
    declared(shop, tmp_path, "killed", unit=DAY_UNIT)
    take_look(shop.log, "killed", folder=tmp_path)
    marks = tmp_path / "marks"
    marks.mkdir()
    expected = measured(shop.log, "killed", InProcess(), 1)
    found = measured(shop.log, "killed", Killing(marks), 3)
    assert as_bytes(found) == as_bytes(expected)
    assert len(list(marks.iterdir())) == 2 * 3, "what they share is read in as many pieces"


def test_what_parts_share_is_read_once(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared(shop, tmp_path, "once", unit=DAY_UNIT)
    take_look(shop.log, "once", folder=tmp_path)
    expected = as_bytes(measured(shop.log, "once", InProcess(), 1))
    read: list[tuple[str, int, int]] = []

    def counted(module: Any, name: str) -> None:
        real = getattr(module, name)

        def asked(log: Any, start: int, stop: int, *more: Any) -> Any:
            read.append((name, start, stop))
            return real(log, start, stop, *more)

        monkeypatch.setattr(module, name, asked)

    for module in (harness.measured_part, harness.sorted_once):
        for name in ("outcome_tables", "earlier_ids"):
            counted(module, name)
    place = shop.log.as_of(None)
    start, stop = range_at(shop.log, get_experiment(shop.log, "once"), place)
    assert as_bytes(measured(shop.log, "once", InProcess(), 4)) == expected
    assert sorted(span for name, *span in read if name == "outcome_tables") == [
        list(part) for part in cut(1, place.position + 1, 4)
    ]
    assert sorted(span for name, *span in read if name == "earlier_ids") == [
        list(part) for part in cut(start, stop, 4)
    ]


def test_a_small_range_of_a_long_log_is_not_written_down(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared(shop, tmp_path, "small", unit=DAY_UNIT)
    take_look(shop.log, "small", folder=tmp_path)
    expected = as_bytes(measured(shop.log, "small", InProcess(), 1))
    monkeypatch.setattr(harness.mapped_parts, "SHARED_MAX", 0)
    monkeypatch.delattr(harness.mapped_parts, "sort_once")
    assert as_bytes(measured(shop.log, "small", Shuffled(1), 7)) == expected


def test_a_part_that_never_comes_is_no_smaller_evidence(shop: Shop, tmp_path: Path) -> None:
    declared(shop, tmp_path, "forgotten", unit=DAY_UNIT)
    with pytest.raises(EngineLost, match="without 1 of 3 parts, the first is part 2"):
        measured(shop.log, "forgotten", Forgetful(), 3)


def test_a_long_range_is_cut_without_being_asked(shop: Shop, tmp_path: Path) -> None:
    declared(shop, tmp_path, "long", unit=DAY_UNIT)
    take_look(shop.log, "long", folder=tmp_path)
    whole = as_bytes(measured(shop.log, "long", InProcess(), 1))
    assert as_bytes(measured(shop.log, "long", InProcess(), 1, positions=700)) == whole
    with pytest.raises(EngineLost):
        measured(shop.log, "long", Forgetful(), 1, positions=700)


def test_what_needs_its_rows_whole_is_measured_whole(shop: Shop, tmp_path: Path) -> None:
    auc = BRIER + '[[metrics]]\nname = "auc"\nrole = "context"\n'
    declared(shop, tmp_path, "groups", unit='kind = "column"', metrics=auc)
    take_look(shop.log, "groups", folder=tmp_path)
    assert undivided(get_experiment(shop.log, "groups").plan) == "auc needs whole groups"
    expected = as_bytes(measured(shop.log, "groups", InProcess(), 1))
    assert as_bytes(measured(shop.log, "groups", Forgetful(), 3)) == expected


def test_a_point_without_decisions_has_empty_parts(shop: Shop, tmp_path: Path) -> None:
    text = experiment_text("empty").replace(POINT, "shop.elsewhere").replace("oracle:1", "plain:1")
    path = tmp_path / "empty.toml"
    path.write_text(text)
    register(shop.log, read_experiment(path))
    expected = as_bytes(measured(shop.log, "empty", InProcess(), 1))
    assert as_bytes(measured(shop.log, "empty", Shuffled(5), 3)) == expected
