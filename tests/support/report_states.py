"""Hand-made report data for every state, out of the figures of report_figures.py."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from harness.report import aggregate
from harness.report.data import Levels, Model, ReportData
from harness.report.figures import (
    Absent,
    Bounds,
    InputRow,
    NoiseFloor,
    ScoreDifference,
    Stage,
    WatchedInputs,
)
from harness.report.findings import (
    Invalid,
    NoLook,
    NotIdentifiable,
    Reject,
    Retrain,
    TooFew,
    Undecided,
    Verdict,
    Waiting,
)
from harness.report.page import render
from tests.support.report_figures import (
    HALVES,
    POINTS,
    START,
    difference,
    events,
    gates,
    look,
    looks,
    metric,
    plan,
    promote,
    scores,
)


def hold_too_few() -> ReportData:
    count = 3
    full = promote(count)
    short = TooFew(35, 20, "days", 1.0, START + timedelta(days=36))
    waiting = tuple(
        replace(
            gate,
            state="waits",
            note="15 missing",
            value=20.0,
            limit=35.0,
            rule="at least 35 days",
            name="Days closed",
        )
        if gate.name == "Matured and used"
        else gate
        for gate in gates()
    )
    return replace(
        full,
        verdict=Verdict("HOLD", short),
        gates=waiting,
        next_look=START + timedelta(days=28, hours=16),
        slices=Absent("No slices are registered in this experiment."),
        serving=Absent("No serving times were recorded; they come with latency_us in the decision events."),
        plan=plan(min_decisions=35_000),
    )


def hold_undecided() -> ReportData:
    count = 2
    full = promote(count)
    return replace(
        full,
        verdict=Verdict("HOLD", Undecided(21, "days", START + timedelta(days=38), 12)),
        gates=gates(non_inferior="waits", superior="waits"),
        next_look=START + timedelta(days=21, hours=16),
        plan=plan(min_units=10),
    )


def hold_waiting() -> ReportData:
    return replace(
        promote(),
        verdict=Verdict("HOLD", Waiting("Coverage, used of eligible")),
        gates=gates(coverage="waits"),
    )


def reject() -> ReportData:
    worse = tuple(
        replace(
            look(k),
            difference=-p,
            low=-p - h,
            high=-p + h,
            state="HOLD",
            superior=False,
            noninferior=False,
            log_e=1.0 * k,
            naive_z=None,
        )
        for k, p, h in zip(range(1, 7), POINTS, HALVES, strict=False)
    )
    worse = (*worse[:-1], replace(worse[-1], state="REJECT", difference=0.0061, low=0.0041, high=0.0081))
    failing = tuple(
        replace(gate, state="fails", value=0.0061, low=0.0041, high=0.0081)
        if gate.group == "primary"
        else gate
        for gate in gates()
    )
    return replace(
        promote(),
        verdict=Verdict("REJECT", Reject("Non-inferior", "the Brier difference")),
        looks=worse,
        gates=failing,
        claim="harm",
        levels=Levels(0.1884, 0.1945),
    )


def retrain() -> ReportData:
    finding = Retrain("hgb-apr:1", "concept", 0.0036, 0.0017)
    moved = "its distribution moved by 0.142, material from 0.05 on; chance of that without cause 2.1e-05."
    calm = "its distribution moved by 0.011, material from 0.05 on; chance of that without cause 1."
    rows = (
        InputRow("terminal", "broken", "terminal: 96 of 612 values are none of the 14 known levels."),
        InputRow("amount", "drift", f"amount: {moved}"),
        InputRow("(score)", "ok", f"(score): {calm}"),
        InputRow("branch", "not enough data", "branch: no values to compare on both sides."),
    )
    watched = WatchedInputs("fraud-inputs", "2026-03-30", "broken", 612, rows, 3, ("card", "income"))
    return replace(promote(), verdict=Verdict("RETRAIN", finding), inputs=(watched,))


def invalid() -> ReportData:
    finding = Invalid(
        defect="hgb-apr:1 was trained on decisions that it is evaluated on",
        facts="Its training range ends at position 253,480; the evaluated range begins at 216,377",
        law="A model is never evaluated on positions it was trained on",
        next=("retrain up to 216,376, or", "evaluate from 253,481"),
        overlap=(216_377, 253_481),
        overlap_decisions=12_402,
    )
    full = promote(1)
    return replace(
        full,
        verdict=Verdict("INVALID", finding),
        challenger=Model("hgb-apr:1", (1, 253_481)),
        looks=(look(1, state="INVALID"),),
    )


def invalid_noise() -> ReportData:
    counts = tuple(3 if index in {20, 22, 24} else 0 for index in range(len(difference().counts)))
    finding = Invalid(
        defect="rule-jan:1 cannot be reproduced from its own snapshots",
        facts="Re-scored, it differs in 412 of 37,640 decisions, by at most 0.031",
        law="What cannot be reproduced cannot be compared",
        next=("the owner finds the snapshot", "that the champion did not see"),
    )
    full = promote(1)
    return replace(
        full,
        verdict=Verdict("INVALID", finding),
        differences=difference(NoiseFloor(37_640, 412, 9, 0.031, counts)),
        gates=gates(noise_floor="fails"),
    )


def not_identifiable() -> ReportData:
    finding = NotIdentifiable(
        never_seen="the outcome is known only where the champion did not re-book",
        unseen=6_204,
        decisions=41_870,
        reason="the models act differently and the outcome of the challenger’s action was never seen",
        explore=0.015,
        where="the decisions that are blocked",
        period="8 weeks",
    )
    return replace(
        promote(),
        verdict=Verdict("NOT_IDENTIFIABLE", finding),
        metric=metric(
            name="missed connections",
            difference="difference in missed connections",
            margin=0.005,
            identification="blocked",
        ),
        bounds=Bounds(-0.0310, 0.0442, (-0.0120, -0.0006)),
        missing=Absent(
            "Replaced by the bounds above: the outcomes of actions that were not taken are never seen."
        ),
    )


def no_look() -> ReportData:
    full = promote(0)
    waiting = Absent("Comes with the first look.")
    return replace(
        full,
        verdict=Verdict("NONE", NoLook(START + timedelta(days=7, hours=16), 5_277, 641, 641, 0)),
        looks=(),
        gates=(),
        position=217_052,
        time=START + timedelta(hours=18, minutes=40),
        evaluated=(216_377, 217_053),
        coverage=(
            Stage("Recorded", 641),
            Stage("Matured", 0, (("younger than 24 h", 641),)),
            Stage("Used", 0),
        ),
        maturity=aggregate.maturity_figure(np.array([]), mature=0, window_hours=24.0, label="arrived_late"),
        missing=waiting,
        next_look=START + timedelta(days=7, hours=16),
        levels=None,
    )


def one_look() -> ReportData:
    return replace(hold_too_few(), looks=looks(1), evaluated=(216_377, 234_877), events=events(1))


def many_looks() -> ReportData:
    """47 looks: intervals thin out, labels do not meet."""
    made = []
    for number in range(1, 48):
        half = 0.0062 / number**0.5
        point = -0.0002 - 0.00002 * number
        made.append(
            look(
                number,
                used=900 * number,
                units=number,
                time=START + timedelta(days=number, hours=16),
                position=216_377 + 2_600 * number,
                difference=point,
                low=point - half,
                high=point + half,
                state="HOLD",
                log_e=0.02 * number,
                naive_z=0.1 * number,
                noninferior=number > 20,
                superior=False,
            )
        )
    full = hold_undecided()
    return replace(
        full,
        looks=tuple(made),
        plan=plan(max_looks=60, every="daily", min_units=10, expected=()),
        evaluated=(216_377, 338_577),
    )


def no_variation() -> ReportData:
    """Equal models: no difference, no flip, constant scores, too few positives for a calibration plot."""
    champion = np.full(800, 0.25)
    full = hold_undecided()
    flat = (
        look(
            1, difference=0.0, low=0.0, high=0.0, log_e=0.0, naive_z=None, superior=False, noninferior=False
        ),
    )
    label = np.zeros(800)
    label[:30] = 1.0
    start, width, counts, inside = aggregate.histogram(champion - champion)
    return replace(
        full,
        verdict=Verdict("HOLD", Undecided(None, "days", None, 12)),
        looks=flat,
        metric=metric(margin=None),
        gates=gates()[1:],
        scores=aggregate.score_figure(
            champion, champion, thresholds=(None, None), names=("rule-jan:1", "hgb-apr:1")
        ),
        flips=aggregate.flip_figure(
            np.full(800, "no"),
            np.full(800, "no"),
            np.full(800, np.nan),
            words="late",
            positive_decision=None,
            threshold=None,
        ),
        calibration=aggregate.calibration_figure(champion, champion, label, words="late"),
        differences=ScoreDifference(
            start, width, counts, inside, 0.0, 0.0, 0.0, Absent("No model is registered under its name.")
        ),
        evaluated=(216_377, 234_877),
    )


def few_decisions() -> ReportData:
    """Below 500 decisions the scores are dots; neither training range is declared."""
    champion, challenger, label = scores(220)
    full = one_look()
    return replace(
        full,
        challenger=Model("hgb-apr:1", None),
        champion=Model("rule-jan:1", None),
        scores=aggregate.score_figure(
            champion, challenger, thresholds=(0.4, 0.55), names=("rule-jan:1", "hgb-apr:1")
        ),
        calibration=aggregate.calibration_figure(champion, challenger, label, words="late"),
        metric=metric(margin=0.03),
        looks=(look(1, used=220, difference=0.0051, low=-0.0410, high=0.0512, naive_z=0.4),),
    )


STATES = {
    "promote": promote,
    "hold-too-few": hold_too_few,
    "hold-undecided": hold_undecided,
    "hold-waiting": hold_waiting,
    "reject": reject,
    "retrain": retrain,
    "invalid": invalid,
    "invalid-noise": invalid_noise,
    "not-identifiable": not_identifiable,
    "no-look": no_look,
    "one-look": one_look,
    "many-looks": many_looks,
    "no-variation": no_variation,
    "few-decisions": few_decisions,
}


def write_golden(folder: Path) -> None:
    """Write the page of every state; run this module to accept what changed, and read the difference."""
    for name, make in STATES.items():
        (folder / f"report_{name}.html").write_text(render(make()), encoding="utf-8")


if __name__ == "__main__":
    write_golden(Path(__file__).parents[1] / "golden")
