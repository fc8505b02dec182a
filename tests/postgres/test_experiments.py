"""Experiments on a real log: registered once, looked at, decided, explained to the byte, approved."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness import looks
from harness.errors import NotFound, UsageError
from harness.experiment_errors import (
    ApprovalRefused,
    ExperimentChanged,
    ExperimentConcluded,
    ExperimentUnreadable,
    LookBehind,
    LookRaced,
    LooksExhausted,
    NoLook,
    TrainedInWindow,
    WindowNotOpen,
)
from harness.experiment_file import ExperimentFile
from harness.experiment_lint import read_experiment
from harness.experiment_status import shown
from harness.experiments import REGISTERED, check, get_experiment, list_experiments, register
from harness.log.log import Log
from harness.looks import Taken, stored_looks, take_look
from harness.models import add_model
from harness.replay_errors import FeatureUnknown, SliceOfNumbers
from harness.verdicts import EXIT_CODES, approve, explain, find_look, record_verdict
from tests.support.shop import POINT, Shop, entered, experiment_text

DOCUMENT = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text()
REASONS = DOCUMENT.partition("| reason |")[2].partition("\n## ")[0]


@pytest.fixture
def shop(event_log: Log, tmp_path: Path) -> Shop:
    return entered(event_log, tmp_path, ("oracle", "contrary"))


@pytest.fixture
def declare(tmp_path: Path) -> Any:
    def read(**keys: Any) -> ExperimentFile:
        path = tmp_path / "experiment.toml"
        path.write_text(experiment_text(**keys))
        return read_experiment(path)

    return read


def look(shop: Shop, name: str = "returned-1", **keys: Any) -> Taken:
    return take_look(shop.log, name, **keys)


def test_registering_again_changes_nothing_and_another_file_is_refused(shop: Shop, declare: Any) -> None:
    first = register(shop.log, declare())
    head = shop.log.head().position
    assert register(shop.log, declare()).event == first.event
    assert shop.log.head().position == head
    with pytest.raises(ExperimentChanged) as caught:
        register(shop.log, declare(max_looks=8))
    assert caught.value.position == first.event.position
    assert caught.value.exit_code == 2
    assert first.seen_from == "ahead"
    assert get_experiment(shop.log, "returned-1").declared == declare().in_utc()


def test_the_verdict_says_whether_the_window_lay_ahead(shop: Shop, declare: Any) -> None:
    shop.days(0, 4)
    assert register(shop.log, declare()).seen_from == "open"
    shop.days(4, 60)
    late = register(shop.log, declare(name="late"))
    assert late.seen_from == "past"
    assert late.event.body["window"]["start"] is not None
    assert look(shop, "late").look.seen_from == "past"


@pytest.mark.parametrize(
    ("alter", "told"),
    [
        (lambda body: body["declaration"]["experiment"].update(colour="red"), "unknown field `colour`"),
        (lambda body: body.pop("registered"), "it lacks 'registered'"),
    ],
)
def test_a_registration_of_a_newer_form_is_told_as_that(
    shop: Shop, declare: Any, alter: Any, told: str
) -> None:
    body = msgspec.json.decode(msgspec.json.encode(register(shop.log, declare()).event.body))
    alter(body)
    event = shop.log.control(REGISTERED, "newer", body)
    for read in (lambda: get_experiment(shop.log, "newer"), lambda: list_experiments(shop.log)):
        with pytest.raises(ExperimentUnreadable, match="Use the program that registered it") as caught:
            read()
        assert told in str(caught.value)
        assert caught.value.position == event.position


def test_an_unknown_challenger_is_refused_with_the_nearest_name(shop: Shop, declare: Any) -> None:
    with pytest.raises(NotFound, match="oracle:1"):
        register(shop.log, declare(model="oracel:1"))


def test_a_better_challenger_is_promoted_and_explained(shop: Shop, declare: Any) -> None:
    register(shop.log, declare())
    states = []
    for week in range(6):
        shop.days(7 * week, 7 * week + 7)
        states.append(look(shop).look.verdict.state)
        if states[-1] == "PROMOTE":
            break
    assert states[0] == "HOLD"
    assert states[-1] == "PROMOTE", states
    event = record_verdict(shop.log, "returned-1")
    assert event.body["state"] == "PROMOTE"
    assert EXIT_CODES[event.body["state"]] == 0
    assert record_verdict(shop.log, "returned-1") == event
    explained = explain(shop.log, "returned-1")
    assert explained.looks == len(states)
    assert find_look(shop.log, str(event.position)).look == explained.look
    assert find_look(shop.log, str(explained.position)).look == explained.look
    with pytest.raises(ExperimentConcluded, match="PROMOTE"):
        look(shop)


def test_a_worse_challenger_is_rejected(shop: Shop, declare: Any) -> None:
    register(shop.log, declare(model="contrary:1"))
    shop.days(0, 30)
    look(shop)
    assert EXIT_CODES[record_verdict(shop.log, "returned-1").body["state"]] == 20


def test_approval_is_bound_to_the_verdict_and_records_the_promotion(shop: Shop, declare: Any) -> None:
    register(shop.log, declare())
    with pytest.raises(ApprovalRefused, match="no final verdict"):
        approve(shop.log, "returned-1", by="Ada", reason="it wins")
    shop.days(0, 41)
    taken = look(shop)
    record_verdict(shop.log, "returned-1")
    for by, reason in (("Ada", "it wins " * 1_000), ("Ada", " "), ("A" * 300, "it wins"), ("Ada", "\udcff")):
        with pytest.raises(UsageError, match=r"Who approves|The reason"):
            approve(shop.log, "returned-1", by=by, reason=reason)
    approval, promotion = approve(shop.log, "returned-1", by="Ada", reason="it wins")
    assert approval.body["verdict_digest"] == taken.look.verdict_digest
    assert promotion.subject == POINT
    assert (promotion.body["model"], promotion.body["version"]) == ("oracle", "1")
    assert approve(shop.log, "returned-1", by="Ada", reason="it wins") == (approval, promotion)
    with pytest.raises(ApprovalRefused, match="Ada approved"):
        approve(shop.log, "returned-1", by="Bob", reason="me too")


def test_every_decision_is_used_or_has_its_reason(shop: Shop, declare: Any) -> None:
    register(shop.log, declare())
    shop.days(0, 3)
    shop.decisions(3)
    shop.outcomes(3, keep=40)
    shop.decisions(3)  # delivered again by another sequence: the same ids
    shop.outcomes(3, keep=2, ids=["nobody-1", "nobody-2"])
    shop.days(4, 7)
    found = look(shop).look
    seen = found.integrity
    assert seen.decisions == seen.used + sum(seen.reasons.values())
    assert seen.reasons["duplicate"] == 60
    assert seen.reasons["missing"] == 20
    # Day 0 lies before the window; its outcomes, and those of nobody, are none of ours.
    assert found.outcomes["of_other_decisions"] == 62
    # Day 6 ends at most 24 h before the last outcome is known: not closed, immature as a whole.
    assert seen.reasons["immature"] == 60
    assert seen.reasons["unscored"] == 0
    assert set(re.findall(r"^\| (\w+) \|", REASONS, re.MULTILINE)) == set(seen.reasons)


def test_decisions_without_score_are_counted_when_nothing_is_replayed(shop: Shop, declare: Any) -> None:
    register(shop.log, declare())
    shop.days(0, 7)
    seen = look(shop, replay=False).look.integrity
    assert seen.reasons["unscored"] == seen.matured == 300
    assert seen.used == 0


def test_without_data_there_is_nothing_to_see_and_nothing_breaks(shop: Shop, declare: Any) -> None:
    register(shop.log, declare())
    with pytest.raises(WindowNotOpen):
        look(shop)
    shop.days(0, 1)  # the window opens with the outcomes of a day that lies before it
    shop.outcomes(1)
    found = look(shop).look
    assert found.verdict.state == "HOLD"
    assert found.integrity.decisions == 0
    explain(shop.log, "returned-1")


def test_a_blocked_metric_is_not_identifiable(shop: Shop, declare: Any) -> None:
    register(shop.log, declare(identification="blocked"))
    shop.days(0, 30)
    assert look(shop).look.verdict.state == "NOT_IDENTIFIABLE"
    assert EXIT_CODES[record_verdict(shop.log, "returned-1").body["state"]] == 10


def test_one_position_is_one_look(shop: Shop, declare: Any) -> None:
    register(shop.log, declare())
    shop.days(0, 10)
    place = shop.log.head().position
    first = look(shop, as_of=place)
    again = look(shop, as_of=place)
    assert (first.new, again.new) == (True, False)
    assert first.event == again.event
    assert len(stored_looks(shop.log, "returned-1")) == 1


def test_a_look_shows_its_own_e_value_beside_the_largest_so_far(shop: Shop, declare: Any) -> None:
    register(shop.log, declare())
    shop.days(0, 10)
    taken = look(shop)
    own = shown(taken)
    assert own.e_value == own.largest_e_value
    gates = [
        msgspec.structs.replace(gate, e_value=19.5) if gate.hypothesis == "superiority" else gate
        for gate in taken.look.verdict.gates
    ]
    reached = msgspec.structs.replace(taken.look.verdict, gates=tuple(gates))
    later = shown(Taken(msgspec.structs.replace(taken.look, verdict=reached), taken.event))
    assert (later.e_value, later.largest_e_value) == (own.e_value, 19.5)


def test_a_look_that_sees_nothing_new_is_none(shop: Shop, declare: Any) -> None:
    register(shop.log, declare())
    shop.days(0, 10)
    first = look(shop)
    again = look(shop)
    assert not again.new
    assert again.event == first.event


def test_of_two_looks_computed_at_once_one_is_stored(shop: Shop, declare: Any) -> None:
    register(shop.log, declare())
    shop.days(0, 8)
    early = look(shop, dry_run=True).look
    taken = look(shop)
    assert taken.look.number == early.number == 1
    # Computed at one position, with other scores known: it is one look.
    assert early.as_of.position == taken.look.as_of.position
    assert looks._store(shop.log, early).event == taken.event
    later = msgspec.structs.replace(early, as_of=shop.log.as_of(taken.look.as_of.position + 1))
    with pytest.raises(LookRaced):
        looks._store(shop.log, later)
    assert len(stored_looks(shop.log, "returned-1")) == 1


def test_looks_go_forward_and_end_at_their_number(shop: Shop, declare: Any) -> None:
    register(shop.log, declare(max_looks=2))
    shop.days(0, 5)
    early = shop.log.head().position
    shop.days(5, 8)
    look(shop)
    with pytest.raises(LookBehind):
        look(shop, as_of=early)
    before = shop.log.head().position
    dry = look(shop, as_of=early, dry_run=True)
    assert (dry.position, dry.look.number) == (None, 1)
    assert shop.log.head().position == before
    shop.days(8, 9)
    look(shop)
    with pytest.raises(LooksExhausted):
        look(shop)


def test_later_corrections_do_not_change_an_old_look(shop: Shop, declare: Any) -> None:
    register(shop.log, declare())
    shop.days(0, 12)
    first = look(shop)
    for day in range(1, 8):
        shop.outcomes(day, flip=True)
    shop.days(12, 14)
    assert explain(shop.log, "returned-1", 1).look == first.look
    second = look(shop).look
    assert second.outcomes["superseded"] == 420
    assert second.evidence_digest != first.look.evidence_digest
    assert explain(shop.log, "returned-1").looks == 2


def test_a_challenger_trained_in_the_window_is_refused(shop: Shop, declare: Any, tmp_path: Path) -> None:
    shop.days(0, 10)
    uri = "py:tests.support.shop:oracle"
    add_model(shop.log, uri, name="insider", version="1", trained_until=200, inputs=["x"], folder=tmp_path)
    with pytest.raises(TrainedInWindow) as caught:
        register(shop.log, declare(model="insider:1"))
    assert caught.value.exit_code == 30
    assert shop.log.controls(REGISTERED) == []


def test_a_look_at_what_the_challenger_was_trained_on_is_invalid(shop: Shop, declare: Any) -> None:
    body = check(shop.log, declare())
    shop.days(0, 10)
    challenger = {**msgspec.to_builtins(body["challenger"]), "trained_until": 200}
    shop.log.control(
        REGISTERED, "returned-1", {**body, "challenger": challenger}, key="experiment:returned-1"
    )
    assert look(shop).look.verdict.state == "INVALID"
    assert EXIT_CODES[record_verdict(shop.log, "returned-1").body["state"]] == 30


def test_the_champion_scored_again_is_the_noise_floor(shop: Shop, declare: Any, tmp_path: Path) -> None:
    for name, version in (("plain", "1"), ("drifted", "2")):
        uri = f"py:tests.support.shop:{name}"
        add_model(
            shop.log, uri, name="plain", version=version, trained_until=0, inputs=["x"], folder=tmp_path
        )
    register(shop.log, declare(rescore="plain:1"))
    register(shop.log, declare(name="other", rescore="plain:2"))
    shop.days(0, 8)
    noise = look(shop).look.integrity.noise_floor
    assert noise is not None
    assert (noise["rows"], noise["differing_scores"], noise["histogram"]["equal"]) == (420, 0, 420)
    # Only decisions that the rescored version itself made can tell; nothing says that 2 decided any.
    assert look(shop, "other").look.integrity.noise_floor is None
    explain(shop.log, "returned-1")


def test_a_champion_that_raises_on_its_own_snapshots_fails_the_noise_floor_and_not_the_look(
    shop: Shop, declare: Any, tmp_path: Path
) -> None:
    uri = "py:tests.support.shop:broken"
    add_model(shop.log, uri, name="plain", version="1", trained_until=0, inputs=["x"], folder=tmp_path)
    register(shop.log, declare(rescore="plain:1"))
    shop.days(0, 8)
    found = look(shop).look
    assert found.verdict.state == "INVALID"
    assert "failed on 420 of its own snapshots" in found.verdict.reasons[0]
    assert "no such level" in found.verdict.reasons[0]
    explain(shop.log, "returned-1")
    shop.days(8, 10)
    look(shop)
    explain(shop.log, "returned-1")


def test_nothing_to_decide_or_explain_is_said(shop: Shop, declare: Any) -> None:
    register(shop.log, declare())
    with pytest.raises(NoLook):
        record_verdict(shop.log, "returned-1")
    with pytest.raises(NoLook):
        explain(shop.log, "returned-1")
    with pytest.raises(NotFound, match="returned-1"):
        explain(shop.log, "returned")


def test_slices_are_searched_and_explained_to_the_byte(shop: Shop, declare: Any) -> None:
    declared = declare(more='[slices]\ncolumns = ["region"]\nlevels = 3\n')
    register(shop.log, declared)
    shop.days(0, 20)
    taken = look(shop)
    names = {each.name for each in taken.look.verdict.slices}
    assert names == {"region=north", "region=south"}
    assert sum(each.decisions for each in taken.look.verdict.slices) == taken.look.integrity.used
    shop.days(20, 30)
    look(shop)
    assert explain(shop.log, "returned-1").looks == 2


def test_a_slice_column_without_levels_or_without_a_column_is_refused(shop: Shop, declare: Any) -> None:
    for name, column, error in (("a", "x", SliceOfNumbers), ("b", "contry", FeatureUnknown)):
        register(shop.log, declare(name=name, more=f'[slices]\ncolumns = ["{column}"]\n'))
        if name == "a":
            shop.days(0, 4)
        with pytest.raises(error, match=column):
            look(shop, name)
