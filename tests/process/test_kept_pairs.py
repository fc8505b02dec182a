"""Pairs that are kept change no byte of a look: not later, not after corrections, not when altered."""

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import harness.kept_pairs
import harness.mapped_parts
import replay.digest
from harness.engines.engine import InProcess
from harness.engines.local import Local
from harness.experiments import get_experiment
from harness.kept_pairs import KEPT, key_of
from harness.log.seal import seal
from harness.looks import range_at, recompute, take_look
from harness.measure import Spread
from harness.measured_part import Question
from recorders.fields import FeatureSet, Field
from tests.support import servers
from tests.support.parted_shop import BRIER, DAY_UNIT, as_bytes, declared, measured, parted_shop
from tests.support.shop import Shop

REQUEST = 'kind = "request"'
POSITIONS = 400


@pytest.fixture
def shop(database_url: str, migrated: str, tmp_path: Path) -> Iterator[Shop]:
    with servers.fresh_database(database_url, migrated) as url, parted_shop(tmp_path / "log", url) as shop:
        yield shop


@pytest.fixture
def paired(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return the parts that were paired anew, as it goes on."""
    done: list[tuple[int, int]] = []
    real: Callable[..., Any] = harness.mapped_parts.pair_part

    def counted(log: Any, question: Any, *part: int) -> Any:
        done.append((part[0], part[1]))
        return real(log, question, *part)

    monkeypatch.setattr(harness.mapped_parts, "pair_part", counted)
    return done


def fresh(shop: Shop, name: str, at: int | None = None) -> bytes:
    return as_bytes(measured(shop.log, name, InProcess(), 1, POSITIONS, at=at))


def again(shop: Shop, name: str, at: int | None = None) -> bytes:
    return as_bytes(measured(shop.log, name, InProcess(), 1, POSITIONS, keep=True, at=at))


def test_a_second_look_at_a_place_pairs_nothing_and_says_the_same(
    shop: Shop, tmp_path: Path, paired: list[tuple[int, int]]
) -> None:
    declared(shop, tmp_path, "kept", unit=REQUEST)
    take_look(shop.log, "kept", folder=tmp_path)
    place = shop.log.head().position
    expected = fresh(shop, "kept", place)
    assert as_bytes(measured(shop.log, "kept", InProcess(), 1, at=place)) == expected
    parts = len(paired)
    assert parts > 3
    assert not shop.log.controls(KEPT)
    assert again(shop, "kept", place) == expected
    assert len(paired) == 2 * parts
    events = shop.log.controls(KEPT)
    assert parts - 1 <= len(events) <= parts
    assert sum(event.body["settled"] for event in events) >= 3
    paired.clear()
    assert again(shop, "kept", place) == expected
    assert len(paired) == parts - len(events)


LOGGED = '[[metrics]]\nname = "outcome"\nidentification = "logged_action"\nbound = 1.0\nweight_max = 5.0\n'
BLOCKED = (
    '[[metrics]]\nname = "accuracy"\npositive_decision = "offer"\nidentification = "blocked"\n'
    'blocked_decision = "none"\neffect = 0.05\n'
)
SLOW = BRIER + (
    '[[metrics]]\nname = "latency_over"\nrole = "guardrail"\nslo_us = 50\nask_every = 20\nmargin = 0.2\n'
    '[[metrics]]\nname = "error_rate"\nrole = "guardrail"\nmargin = 0.05\n'
)
COVARIATE = BRIER + 'covariates = ["x"]\ncovariate_means = [0.5]\nplanned_units = 1000\n'


@pytest.mark.parametrize(
    ("name", "unit", "metrics"),
    [
        ("day", DAY_UNIT, BRIER),
        ("column", 'kind = "column"', BRIER),
        ("failing", REQUEST, SLOW),
        ("logged", REQUEST, LOGGED),
        ("blocked", REQUEST, BLOCKED),
        ("covariate", REQUEST, COVARIATE),
    ],
)
def test_every_kind_of_plan_finds_its_columns_in_what_is_kept(
    shop: Shop, tmp_path: Path, paired: list[tuple[int, int]], name: str, unit: str, metrics: str
) -> None:
    declared(shop, tmp_path, name, unit=unit, metrics=metrics)
    take_look(shop.log, name, folder=tmp_path)
    place = shop.log.head().position
    expected = again(shop, name, place)
    parts = len(paired)
    paired.clear()
    assert again(shop, name, place) == expected == fresh(shop, name, place)
    assert len(paired) < 2 * parts, "some were kept"


FOLDED = """
import sys
import msgspec
from harness.database import open_log
from harness.experiments import get_experiment
from harness.kept_pairs import KEPT, KeptPart, load, read
from harness.looks import range_at
from harness.measured_part import Question, fold_part
from replay.digest import canonical_digest

with open_log(sys.argv[1], url=sys.argv[2]) as log:
    experiment, place = get_experiment(log, "sparing"), log.as_of(int(sys.argv[3]))
    question = Question(experiment, place, *range_at(log, experiment, place), place.position, None)
    for event in log.controls(KEPT):
        kept = msgspec.convert(event.body, KeptPart)
        loaded = load(log, kept, question)
        fold_part(log, question, loaded.pairs)
        canonical_digest(read(log, kept))
        print(*loaded.pairs.table.schema.names)
assert "pandas" not in sys.modules
"""


def test_a_look_at_kept_pairs_loads_no_pandas_and_decodes_no_ids(shop: Shop, tmp_path: Path) -> None:
    declared(shop, tmp_path, "sparing", unit=REQUEST)
    take_look(shop.log, "sparing", folder=tmp_path)
    place = shop.log.head().position
    again(shop, "sparing", place)
    seal(shop.log)  # then what came since is told by its listing
    words = [sys.executable, "-c", FOLDED, str(tmp_path / "log"), shop.log.url, str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    parts = done.stdout.splitlines()
    assert len(parts) > 3
    scores, decisions = ("champion_score challenger_score", "champion_decision challenger_decision")
    assert {frozenset(names.split()) for names in parts} == {
        frozenset(f"unit {scores} {decisions} label".split())
    }


def test_an_even_end_for_two_workers_is_kept_as_well(
    shop: Shop, tmp_path: Path, paired: list[tuple[int, int]]
) -> None:
    declared(shop, tmp_path, "even", unit=REQUEST)
    take_look(shop.log, "even", folder=tmp_path)
    place, expected = shop.log.head().position, fresh(shop, "even")
    counts = []
    for _again in range(2):
        paired.clear()
        found = measured(shop.log, "even", InProcess(), 2, POSITIONS, keep=True, at=place)
        assert as_bytes(found) == expected
        counts.append(len(paired))
    assert counts[0] > 3
    assert counts[1] <= 2  # what is not settled at the end


def test_after_corrections_only_what_they_name_is_paired_anew(
    shop: Shop, tmp_path: Path, paired: list[tuple[int, int]]
) -> None:
    declared(shop, tmp_path, "corrected", unit=REQUEST)
    take_look(shop.log, "corrected", folder=tmp_path)
    again(shop, "corrected")
    shop.outcomes(8, flip=True)
    shop.outcomes(9, ids=[f"stranger-{n}" for n in range(60)])
    shop.days(16, 17)
    place = shop.log.head().position
    take_look(shop.log, "corrected", folder=tmp_path)
    paired.clear()
    found = again(shop, "corrected", place)
    anew = len(paired)
    assert found == fresh(shop, "corrected", place)
    assert 0 < anew < len(paired) - anew


def test_cells_are_taken_over_until_rows_before_them_change(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paired: list[tuple[int, int]]
) -> None:
    monkeypatch.setattr(replay.digest, "CHUNK_ROWS", 16)  # else no part of this log has a whole chunk
    monkeypatch.setattr(harness.kept_pairs, "CHUNK_ROWS", 16)
    whole: list[str] = []
    real = harness.mapped_parts.read

    def counted(log: Any, kept: Any) -> Any:
        whole.append(kept.path)
        return real(log, kept)

    monkeypatch.setattr(harness.mapped_parts, "read", counted)
    declared(shop, tmp_path, "cells", unit=REQUEST)
    take_look(shop.log, "cells", folder=tmp_path)
    place = shop.log.head().position
    found = again(shop, "cells", place)
    events = shop.log.controls(KEPT)
    assert any(event.body["lead"] for event in events)
    assert sum(bool(event.body["cells"]) for event in events) > 3
    whole.clear()
    assert again(shop, "cells", place) == found == fresh(shop, "cells", place)
    assert len(whole) < len(events) - 2, "those without a whole chunk"
    assert len(shop.log.controls(KEPT)) == len(events)
    # A decision of an early part loses its outcome: all later rows lie in their chunks otherwise.
    with monkeypatch.context() as patch:
        rows = shop._rows
        patch.setattr(shop, "_rows", lambda day: [row | {"label": math.nan} for row in rows(day)])
        shop.outcomes(1, keep=1)
    place = shop.log.head().position
    paired.clear()
    moved = again(shop, "cells", place)
    assert moved == fresh(shop, "cells", place) != found
    told = len(shop.log.controls(KEPT))
    assert told > len(events) + 2
    assert again(shop, "cells", place) == moved
    assert len(shop.log.controls(KEPT)) == told


def test_another_metric_on_the_same_pairs_pairs_nothing(
    shop: Shop, tmp_path: Path, paired: list[tuple[int, int]]
) -> None:
    declared(shop, tmp_path, "one", unit=REQUEST)
    take_look(shop.log, "one", folder=tmp_path)
    again(shop, "one")
    more = BRIER + '[[metrics]]\nname = "log_loss"\nrole = "guardrail"\nmargin = 0.1\n'
    declared(shop, tmp_path, "other", unit=REQUEST, metrics=more)
    place = shop.log.head().position
    paired.clear()
    found = again(shop, "other", place)
    anew = len(paired)
    assert found == fresh(shop, "other", place)
    assert 0 <= anew < len(paired) - anew


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9] + b"\xff" * 9)


@pytest.mark.parametrize("harm", [Path.unlink, damaged])
def test_what_is_gone_or_altered_is_paired_anew(
    shop: Shop, tmp_path: Path, paired: list[tuple[int, int]], harm: Callable[[Path], None]
) -> None:
    declared(shop, tmp_path, "harmed", unit=REQUEST)
    take_look(shop.log, "harmed", folder=tmp_path)
    again(shop, "harmed")
    place = shop.log.head().position
    for event in shop.log.controls(KEPT):
        path = Path(shop.log.sealed.store.url(event.body["path"]))
        if path.exists():
            harm(path)
    paired.clear()
    found = again(shop, "harmed", place)
    assert paired
    assert found == fresh(shop, "harmed", place)
    paired.clear()
    assert again(shop, "harmed", place) == found


def test_a_verdict_is_explained_from_the_log_and_workers_use_what_is_kept(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared(shop, tmp_path, "explained", unit=REQUEST)
    spread = Spread(InProcess(), 1, POSITIONS)
    taken = take_look(shop.log, "explained", folder=tmp_path, spread=spread)
    assert taken.event is not None
    assert shop.log.controls(KEPT)
    place = shop.log.head().position
    with_workers = measured(shop.log, "explained", Local(2), 2, POSITIONS, keep=True, at=place)
    assert as_bytes(with_workers) == fresh(shop, "explained", place)

    def unread(*_: object) -> None:
        raise AssertionError("what is kept proves nothing")

    monkeypatch.setattr(harness.mapped_parts, "load", unread)
    with pytest.raises(AssertionError, match="proves nothing"):
        again(shop, "explained", place)
    ((stored, recomputed),) = recompute(shop.log, "explained", taken.event.position)
    assert recomputed.body() == stored.look.body()


def test_encrypted_features_are_never_kept(shop: Shop, tmp_path: Path) -> None:
    adjusted = BRIER + 'covariates = ["x"]\ncovariate_means = [0.5]\nplanned_units = 1000\n'
    declared(shop, tmp_path, "secret", unit=REQUEST, metrics=adjusted)
    experiment, place = get_experiment(shop.log, "secret"), shop.log.as_of(None)
    start, stop = range_at(shop.log, experiment, place)
    question = Question(experiment, place, start, stop, place.position, None)
    assert experiment.plan.features
    assert key_of(shop.log, question) is not None
    fields = (Field("who", "string", subject=True), Field("x", "float64", sensitive=True))
    shop.log.register_feature_set(FeatureSet("people", 1, fields))
    assert key_of(shop.log, question) is None
