"""What a monitor says of a day: of its inputs when it is over, of its outcomes once they matured."""

import datetime as dt
from typing import Any

import msgspec

from harness.experiment_file import duration
from harness.monitor.broken import broken_hours
from harness.monitor.day import EPOCH, DayRange, DayState
from harness.monitor.hours import DayHours
from harness.monitor.outcomes import Matured
from harness.monitor.registered import Monitor
from harness.window import microseconds
from policies.drift import check_quality, compare
from policies.drift.detector import LossDay, detect
from policies.drift.quality import Freshness, broken
from policies.drift.reference import Reference
from policies.drift.reliability import calibration_shift, expected_performance
from policies.figures import tidy
from recorders.canonical import digest


def judge_inputs(
    monitor: Monitor, day: DayRange, state: DayState, reference: Reference, hours: DayHours | None = None
) -> dict[str, Any]:
    """Return the answer on a day's inputs and scores: "broken", "drift", "ok" or "not enough data".

    What is expected of the day before its labels come is advisory, and no part of the answer; nor are its
    hours, which say when it broke.
    """
    declared = monitor.declared
    findings = check_quality(state.window, monitor.inputs, freshness=_freshness(monitor, day, state))
    drift = compare(
        state.window, reference, monitor.inputs, weekday=day.date.weekday(), importance=declared.importance
    )
    bad = broken(findings)
    began = None if hours is None else broken_hours(hours, monitor.inputs, bad)
    answer = "broken" if bad else _worst(list(drift.answers.values()))
    moved = [each for each in drift.features if each.answer == "drift"]
    return {
        "monitor": monitor.id,
        "day": day.date.isoformat(),
        "start": day.start,
        "stop": day.stop,
        "decisions": state.decisions,
        "answer": answer,
        "reasons": [each.reason if began is None else began.reason(each) for each in bad]
        + [each.reason for each in moved],
        "quality": msgspec.to_builtins([each for each in findings if each.answer != "ok"]),
        "rules": len(findings),
        "drift": msgspec.to_builtins(drift),
        "expected": expected_performance(state.scores, monitor.past)._asdict() if monitor.label else None,
        "state_digest": digest(state.to_json()),
        **({} if began is None else {"hours": began.hours, "began": began.first}),
        **({"encrypted": list(monitor.encrypted)} if monitor.encrypted else {}),
    }


def judge_outcomes(
    monitor: Monitor,
    day: DayRange,
    found: Matured,
    reference: Reference,
    earlier: list[LossDay],
) -> dict[str, Any]:
    """Return the answer on a day's labels and losses: "alarm", "drift", "ok" or "not enough data".

    The detector is folded over the losses of the watched days in their order, up to this one's.
    """
    assert monitor.labels is not None, "a monitor of outcomes"
    assert monitor.baseline is not None, "a monitor of outcomes"
    drift = compare(found.window(monitor.labels), reference, monitor.labels, weekday=day.date.weekday())
    detector = detect([*earlier, found.day(day.number)], monitor.declared.losses, monitor.baseline)
    shift = calibration_shift(monitor.past, found.reliability)
    alarm = None if detector.alarm is None else (EPOCH + dt.timedelta(days=detector.alarm)).isoformat()
    losses, scale = found.losses, monitor.declared.losses.scale
    mean = None if not losses.count else tidy(losses.total / losses.count / scale)
    answer = "alarm" if alarm == day.date.isoformat() else _worst(list(drift.answers.values()))
    said = [each.reason for each in drift.features if each.answer == "drift"]
    if answer == "alarm":
        said.insert(
            0,
            f"Losses have risen beyond {monitor.baseline.limit:.4g}: {mean:.4g} on this day; so much "
            f"evidence comes without cause once in {monitor.declared.detector.run_days} days on average.",
        )
    return {
        "monitor": monitor.id,
        "day": day.date.isoformat(),
        "as_of": found.as_of,
        "labelled": found.labelled,
        "left_out": {**found.reasons, "unusable": found.unusable},
        "answer": answer,
        "reasons": said,
        "drift": msgspec.to_builtins(drift),
        "loss": mean,
        "losses": msgspec.to_builtins(losses),
        "detector": {"days": detector.days, "log_level": detector.log_level, "alarm": alarm},
        "calibration": {**shift._asdict(), "validity": "report_only"} if shift.bins else None,
    }


def _freshness(monitor: Monitor, day: DayRange, state: DayState) -> Freshness | None:
    allowed = monitor.declared.monitor.fresh
    if allowed is None:
        return None
    limit = round(duration(allowed).total_seconds() * 1e6)
    return Freshness(newest_us=state.newest_us, now_us=microseconds(day.ends), limit_us=limit)


def _worst(answers: list[Any]) -> str:
    return next((answer for answer in ("drift", "ok") if answer in answers), "not enough data")
