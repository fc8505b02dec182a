"""The report of a real log: the states that the shop reaches, the same bytes again, the command line."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from harness.cli.report import report
from harness.errors import NotFound, UsageError
from harness.experiment_lint import read_experiment
from harness.experiments import REGISTERED, check, register
from harness.log.log import Log
from harness.looks import stored_looks, take_look
from harness.report.data import ReportData
from harness.report.figures import Absent, Calibration, Flips, Missing, ScoreDifference
from harness.report.findings import Invalid, NoLook, Promote, Reject, TooFew
from harness.report.gather import gather
from harness.report.page import render
from harness.report.write import ReportNotWritten, write_page, write_report
from harness.verdicts import approve, record_verdict
from tests.support.shop import DECISIONS, Shop, entered, experiment_text

NAME = "returned-1"


@pytest.fixture
def shop(event_log: Log, tmp_path: Path) -> Shop:
    return entered(event_log, tmp_path, ("oracle", "contrary"))


def registered(
    shop: Shop, folder: Path, *, min_units: int = 5, threshold: float | None = None, **keys: Any
) -> None:
    path = folder / "experiment.toml"
    text = experiment_text(**keys).replace("min_units = 5", f"min_units = {min_units}")
    if threshold is not None:
        text = text.replace("clip = 0.1", f"clip = 0.1\nthreshold = {threshold}")
    path.write_text(text)
    register(shop.log, read_experiment(path))


def weeks(shop: Shop, count: int) -> str:
    """Take a look after each week until one is not HOLD; the state of the last."""
    state = "NONE"
    for week in range(count):
        shop.days(7 * week, 7 * week + 7)
        state = take_look(shop.log, NAME).look.verdict.state
        if state != "HOLD":
            break
    return state


def plain(page: str) -> str:
    return re.sub(r"<[^>]+>", " ", page[page.index("<main>") :])


def test_a_promotion_is_told_from_its_first_look_to_its_approval(shop: Shop, tmp_path: Path) -> None:
    registered(shop, tmp_path)
    before = gather(shop.log, NAME)
    assert isinstance(before.verdict.finding, NoLook)
    assert weeks(shop, 8) == "PROMOTE"
    record_verdict(shop.log, NAME)
    waiting = gather(shop.log, NAME)
    assert waiting.verdict.approvals == (0, 1)
    assert waiting.verdict.promoted is None
    assert [gate.state for gate in waiting.gates if gate.group == "people"] == ["waits"]
    _, promotion = approve(shop.log, NAME, by="ada", reason="better on every day")
    data = gather(shop.log, NAME)
    assert data.position == data.verdict.promoted == promotion.position
    assert isinstance(data.verdict.finding, Promote)
    assert data.verdict.approvals == (1, 1)
    said = plain(render(data))
    for words in (
        "oracle:1",
        "plain:1",
        "PROMOTE",
        "better on every day",
        "1 of 1",
        "oracle:1 promoted at shop.returned",
        f"the promotion is recorded at {promotion.position:,}",
        "verdict explain returned-1",
    ):
        assert words in said, words


def test_the_figures_are_those_of_the_look(shop: Shop, tmp_path: Path) -> None:
    registered(shop, tmp_path, threshold=0.5)
    weeks(shop, 2)
    newest = stored_looks(shop.log, NAME)[-1].look
    data = gather(shop.log, NAME)
    found = newest.verdict.estimates[0]
    last = data.last
    assert last is not None
    # The estimate is oriented; the page shows the metric's own sign, and a lower Brier score is better.
    assert (last.difference, last.low, last.high) == (-found.point, -found.high, -found.low)  # type: ignore[operator]
    assert last.used == newest.integrity.used
    stages = data.coverage
    assert not isinstance(stages, Absent)
    assert stages[0].kept == newest.integrity.decisions
    assert stages[-1].kept == newest.integrity.used
    assert isinstance(data.flips, Flips)
    assert data.flips.scored == newest.integrity.scored + _unknown(data)
    assert isinstance(data.calibration, Calibration)
    assert isinstance(data.differences, ScoreDifference)
    # The oracle beats the champion everywhere, so the naive z agrees with it.
    assert last.naive_z is not None
    assert last.naive_z > 0


def _unknown(data: ReportData) -> int:
    """Decisions that both models scored and whose outcome is not known: they flip too."""
    assert isinstance(data.flips, Flips)
    return sum(cell.scored - cell.used for row in data.flips.cells for cell in row)


def test_the_same_place_gives_the_same_bytes_whatever_is_recorded_since(shop: Shop, tmp_path: Path) -> None:
    registered(shop, tmp_path)
    weeks(shop, 2)
    first = render(gather(shop.log, NAME))
    place = gather(shop.log, NAME).position
    shop.days(14, 21)
    assert render(gather(shop.log, NAME)) == first
    take_look(shop.log, NAME)
    assert render(gather(shop.log, NAME)) != first
    assert render(gather(shop.log, NAME, place)) == first


def test_too_early_says_how_much_is_missing(shop: Shop, tmp_path: Path) -> None:
    registered(shop, tmp_path, min_units=14)
    assert weeks(shop, 1) == "HOLD"
    finding = gather(shop.log, NAME).verdict.finding
    assert isinstance(finding, TooFew)
    assert finding.required == 14
    assert finding.noun == "days"
    assert finding.by is not None


def test_after_the_window_nothing_more_is_promised(shop: Shop, tmp_path: Path) -> None:
    registered(shop, tmp_path, min_units=100)
    shop.days(0, 41)
    take_look(shop.log, NAME)
    open_ = gather(shop.log, NAME)
    assert (open_.window_over, open_.next_look is None) == (False, False)
    shop.days(41, 43)
    take_look(shop.log, NAME)
    data = gather(shop.log, NAME)
    assert (data.window_over, data.next_look) == (True, None)
    finding = data.verdict.finding
    assert isinstance(finding, TooFew)
    assert (finding.by, finding.per_day) == (None, None)
    said = plain(render(data))
    assert "The window is over; it ends as HOLD." in said
    assert "looks again by itself" not in said


def test_the_comparison_holds_up_to_the_last_day_that_counted(shop: Shop, tmp_path: Path) -> None:
    registered(shop, tmp_path)
    weeks(shop, 2)
    data = gather(shop.log, NAME)
    # The newest look stands on 15 March at 06:00; with a label's window of a day the 13th is its last day.
    assert (
        "The comparison holds for decisions from 2 March 2026 to 13 March 2026, and for nothing after them."
        in data.limits
    )


def test_harm_is_rejected_with_the_sign_that_readers_expect(shop: Shop, tmp_path: Path) -> None:
    registered(shop, tmp_path, model="contrary:1")
    assert weeks(shop, 8) == "REJECT"
    data = gather(shop.log, NAME)
    assert isinstance(data.verdict.finding, Reject)
    assert data.claim == "harm"
    assert data.last is not None
    assert data.last.difference is not None
    assert data.last.difference > 0
    said = plain(render(data))
    assert "is worse than" in said
    assert "the Brier difference is beyond its limit" in said


def test_training_inside_the_window_shows_the_overlap_and_no_metric(shop: Shop, tmp_path: Path) -> None:
    """Registering refuses this; a log that says it nevertheless gets the defect drawn."""
    path = tmp_path / "experiment.toml"
    path.write_text(experiment_text())
    body = check(shop.log, read_experiment(path))
    shop.days(0, 10)
    challenger = {**msgspec.to_builtins(body["challenger"]), "trained_until": 200}
    shop.log.control(REGISTERED, NAME, {**body, "challenger": challenger}, key=f"experiment:{NAME}")
    assert take_look(shop.log, NAME).look.verdict.state == "INVALID"
    data = gather(shop.log, NAME)
    assert isinstance(data.verdict.finding, Invalid)
    assert data.verdict.finding.overlap is not None
    said = plain(render(data))
    assert "oracle:1 was trained on decisions that it is evaluated on" in re.sub(r"\s+", " ", said)
    assert "Brier" not in said


def test_a_blocked_metric_gets_bounds_in_place_of_an_interval(shop: Shop, tmp_path: Path) -> None:
    registered(shop, tmp_path, identification="blocked")
    shop.days(0, 9)
    assert take_look(shop.log, NAME).look.verdict.state == "NOT_IDENTIFIABLE"
    said = plain(render(gather(shop.log, NAME)))
    assert "The log cannot say which model is better" in said
    assert "What the log allows" in said


def test_missing_outcomes_bound_the_estimate(shop: Shop, tmp_path: Path) -> None:
    registered(shop, tmp_path)
    for day in range(14):
        shop.decisions(day)
        shop.outcomes(day, keep=DECISIONS - 5)
    take_look(shop.log, NAME)
    data = gather(shop.log, NAME)
    assert isinstance(data.missing, Missing)
    assert data.last is not None
    assert data.last.difference is not None
    assert data.missing.favourable < data.last.difference < data.missing.against
    assert not isinstance(data.coverage, Absent)
    assert data.missing.outcomes == sum(
        dict(each.left).get("missing: no outcome", 0) for each in data.coverage
    )


def test_an_unknown_experiment_and_a_place_before_it_are_refused(shop: Shop, tmp_path: Path) -> None:
    registered(shop, tmp_path)
    with pytest.raises(NotFound, match="returned-1"):
        gather(shop.log, "returned-2")
    with pytest.raises(UsageError, match="did not exist"):
        gather(shop.log, NAME, 1)


def test_the_file_is_replaced_whole_or_not_at_all(shop: Shop, tmp_path: Path) -> None:
    registered(shop, tmp_path)
    path = tmp_path / "report.html"
    path.write_text("older")
    digest = write_report(shop.log, NAME, path)
    assert len(digest) == 64
    assert path.read_text().startswith("<!doctype html>")
    with pytest.raises(ReportNotWritten, match="nothing was changed"):
        write_page("page", tmp_path / "absent" / "report.html")
    assert sorted(each.name for each in tmp_path.glob("*.part")) == []


def test_a_full_disk_leaves_the_older_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("older")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ReportNotWritten, match="No space left on device"):
        write_page("newer", path)
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_the_command_writes_the_file_and_says_so(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(shop, tmp_path)
    weeks(shop, 1)
    monkeypatch.setenv("HARNESS_DATABASE_URL", shop.log.url)
    path = tmp_path / "out.html"
    done = CliRunner().invoke(report, [NAME, "-o", str(path)], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.output.startswith("HOLD  returned-1 as of position")
    assert path.read_text().startswith("<!doctype html>")
    told = CliRunner().invoke(report, [NAME, "--json"], catch_exceptions=False)
    value = json.loads(told.output)
    assert value["path"] is None
    assert value["bytes"] == len(path.read_bytes())
    assert value["report"]["verdict"]["state"] == "HOLD"
    assert value["report"]["looks"][0]["number"] == 1
