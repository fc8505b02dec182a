"""What the demo tells: ten lines for every ending, and the figures in them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from harness.demo.calendar import midnights
from harness.demo.figures import Month, labelled, months, naive_z
from harness.demo.story import LookLine, Story, Trial

DAY = datetime(2013, 6, 20, 14, tzinfo=UTC)


def look(state: str, e_value: float | None, z: float) -> LookLine:
    return LookLine(DAY, 49, 40_000, 0.01, e_value, state, z)


def trial(*looks: LookLine, promoted_at: datetime | None = None, over: bool = True) -> Trial:
    return Trial(
        experiment="late-gbm-1",
        challenger="late-gbm:1",
        champion="late-logit:1",
        training_set="ts-1",
        training_digest="a" * 64,
        training_rows=78_124,
        as_of=datetime(2013, 5, 1, 3, tzinfo=UTC),
        looks=looks,
        state=looks[-1].state,
        over=over,
        promoted_at=promoted_at,
        champion_brier=0.1644,
        challenger_brier=0.1480,
    )


HELD = trial(look("HOLD", None, 0.0), look("HOLD", 1.2, 0.4))
WON = trial(look("HOLD", 0.9, -3.4), look("HOLD", 1.3, 6.6), look("PROMOTE", 31.5, 24.8), promoted_at=DAY)


MONTHS = (
    Month("2013-06", "late-logit:1", 40, 0.190, 0.28, 0.31),
    Month("2013-07", "late-gbm:1", 40, 0.200, 0.28, 0.5),
    Month("2013-09", "late-gbm:1", 40, 0.153, 0.28, 0.1),
    Month("2013-11", "late-gbm:1", 40, 0.144, 0.28, 0.2),
)


def story(first: Trial) -> Story:
    return Story(
        folder=Path("demo-out"),
        report=Path("demo-out/report.html"),
        flights=100,
        decisions=90,
        outcomes=80,
        lost=0,
        recorded_s=2.0,
        noise_rows=90,
        noise=0,
        scored=50,
        scored_s=0.5,
        first=first,
        second=HELD,
        months=MONTHS,
        positions=200,
        seconds=9.0,
    )


@pytest.mark.parametrize("first", [HELD, WON])
def test_every_ending_has_ten_lines(first: Trial) -> None:
    lines = story(first).lines
    assert len(lines) == 10
    assert all(line.endswith(".") and "\n" not in line for line in lines)


def test_the_naive_reader_rejects_and_then_promotes() -> None:
    lines = story(WON).lines
    assert lines[4].endswith("−3.4 +6.6 +24.8. Whoever believes it rejects in week 1, promotes in week 2.")
    assert "0.9 1.3 31.5" in lines[5]
    assert "HOLD for 2 weeks, PROMOTE on 20 June after 49 days" in lines[6]


def test_a_hold_whose_window_is_over_promises_no_more_days() -> None:
    told = story(HELD)
    assert told.lines[6].endswith("HOLD for 2 weeks, and to the end; its window is over.")
    assert told.lines[8].endswith("HOLD; its window is over.")
    assert not any("more days" in line for line in told.lines)


def test_a_verdict_does_not_speak_of_its_window() -> None:
    told = msgspec.structs.replace(story(WON), second=WON)
    assert told.lines[8].endswith("after 49 days: PROMOTE.")
    waiting = msgspec.structs.replace(story(WON), second=trial(look("HOLD", 1.2, 0.4), over=False))
    assert waiting.lines[8].endswith("after 49 days: HOLD.")


def test_live_skill_is_told_for_each_month_of_the_last_live_model() -> None:
    skills = "20% in July, −70% in September, 10% in November"
    live = f"Live, late-gbm:1: skill against the month's base rate {skills} (Brier score 0.144 to 0.200)."
    assert story(WON).lines[7] == live


def test_the_brier_score_may_fall_while_the_skill_falls() -> None:
    july, calm = Month("2013-07", "m:1", 9, 0.20, 0.4, 0.5), Month("2013-09", "m:1", 9, 0.10, 0.2, 0.12)
    assert calm.brier < july.brier
    assert calm.skill < july.skill
    assert Month("2013-10", "m:1", 9, 0.0, 0.0, 0.0).skill != 0.0, "a month without lateness has no skill"


def test_the_story_has_a_json_form() -> None:
    assert msgspec.json.decode(msgspec.json.encode(story(WON), enc_hook=str))["decisions"] == 90


def test_the_naive_z_sees_only_days_that_have_matured() -> None:
    days = pd.date_range("2013-05-01", periods=3).date
    losses = pd.Series([1.0, 2.0, 1.0, 2.0, 99.0], index=[days[0], days[0], days[1], days[1], days[2]])
    at_four = datetime(2013, 5, 4, 5, tzinfo=UTC)
    (z,) = naive_z(losses, [at_four], window=timedelta(hours=24))
    assert z == pytest.approx(1.5 / (losses[:4].std() / 2))


def test_the_naive_z_of_nothing_is_not_a_number() -> None:
    (z,) = naive_z(pd.Series([], dtype="float64"), [DAY], window=timedelta(hours=24))
    assert z != z  # noqa: PLR0124  # that is what not-a-number means


def test_months_count_labelled_decisions_of_each_model() -> None:
    local = pd.to_datetime(["2013-06-30T12:00-04:00", "2013-07-01T12:00-04:00", "2013-07-02T12:00-04:00"])
    ids, models, scores = ["a", "b", "c"], ["m:1", "m:2", "m:2"], [0.5, 1.0, 0.0]
    decisions = pd.DataFrame({"decision_id": ids, "local": local, "model": models, "score": scores})
    known = labelled(decisions, pd.DataFrame({"decision_id": ["a", "b"], "late": [1.0, 1.0]}))
    june, july = Month("2013-06", "m:1", 1, 0.25, 0.5, 1.0), Month("2013-07", "m:2", 1, 0.0, 1.0, 1.0)
    assert months(known) == (june, july)


def test_days_of_the_clock_change_are_single_days() -> None:
    spring = midnights(datetime(2013, 3, 10, 5, tzinfo=UTC), datetime(2013, 3, 11, 4, tzinfo=UTC))
    assert spring == [datetime(2013, 3, 11, 4, tzinfo=UTC)]
