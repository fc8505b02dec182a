"""Monitors as text for a terminal: what was said of each day, and how features moved."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.monitor.broken import said
from harness.monitor.registered import Monitor
from harness.monitor.run import Ran

_BARS = "▁▂▃▄▅▆▇█"
_DAYS = 28
_SHOWN = 12
_EARLIER = 8
_WIDE = 42
_FULL = 2.0  # a bar is full at twice the margin


def monitors_text(found: Sequence[Monitor]) -> str:
    """Return one line for each monitor."""
    if not found:
        return 'No monitor is registered. Register one with "harness monitor register".'
    lines = [f"{'monitor':<28}{'decision point':<24}{'features':>9}  watches from"]
    for each in found:
        point, past = each.declared.monitor.decision_point, each.declared.reference
        lines.append(f"{each.id:<28}{point:<24}{len(each.inputs.features):>9}  {past.stop}")
    return "\n".join(lines)


def ran_text(found: Ran) -> str:
    """Return a line for each day that was judged now, with its reasons."""
    if not found.inputs and not found.outcomes:
        return f"{found.monitor}: no day is over that was not judged."
    lines = [f"{found.answer}  {found.monitor}"]
    for body in found.inputs:
        lines += _day(body, f"{body['decisions']:,} decisions")
    for body in found.outcomes:
        loss = "no loss" if body["loss"] is None else f"mean loss {body['loss']:.4g}"
        lines += _day(body, f"{body['labelled']:,} labels, {loss}")
    return "\n".join(lines)


def _day(body: Mapping[str, Any], said: str) -> list[str]:
    return [f"  {body['day']}  {body['answer']:<16}{said}", *(f"      {why}" for why in body["reasons"])]


def hours_text(body: Mapping[str, Any]) -> str:
    """Return a line for each hour of a day: its decisions, the size of its states, what is broken in it."""
    without = f" without {', '.join(body['without'])}" if body["without"] else ""
    lines = [f"{body['monitor']}, {body['day']}{without}: {body['answer']}, {body['decisions']:,} decisions"]
    lines += [f"    {why}" for why in body["reasons"]]
    lines += ["", f"  {'hour':<28}{'decisions':>10}{'bytes':>8}  broken"]
    for each in body["hours"]:
        bad = ", ".join(each["broken"]) or "–"
        lines.append(f"  {each['hour']:<28}{each['decisions']:>10,}{each['state_bytes']:>8,}  {bad}")
    return "\n".join(lines)


def monitor_text(
    monitor: Monitor, inputs: Sequence[Mapping[str, Any]], outcomes: Sequence[Mapping[str, Any]]
) -> str:
    """Return where a monitor stands: its last days as bars, what moved most by importance first."""
    about, past = monitor.declared.monitor, monitor.declared.reference
    lines = [
        f"{monitor.id}  {about.decision_point}, {about.owner}",
        f"  reference   {past.start} to {past.stop}, days of {about.timezone}",
        f"  registered  at position {monitor.event.position}",
    ]
    if monitor.encrypted:
        lines.append(f"  encrypted   {', '.join(monitor.encrypted)}: not watched")
    if not inputs:
        return "\n".join([*lines, f'No day was judged yet. Run "harness monitor run {monitor.id}".'])
    last = inputs[-1]
    lines += ["", f"  {last['day']}: {last['answer']}, {last['decisions']:,} decisions"]
    lines += [f"    {why}" for why in last["reasons"]]
    lines += [f"  {body['day']}: {body['answer']}{_began(body)}" for body in reversed(inputs[-_EARLIER:-1])]
    recent = inputs[-_DAYS:]
    title = f"the last {len(recent)} days, full at twice the margin"
    lines += ["", f"  {'feature':<24}{title:<{_WIDE}}{'effect':>8}{'margin':>8}  answer"]
    for feature in last["drift"]["features"][:_SHOWN]:
        moved = _moved(feature)
        bars = "".join(_bar(body, feature["feature"]) for body in recent)
        effect, margin = ("–", "–") if moved is None else (f"{moved['effect']:.3f}", f"{moved['margin']:.3f}")
        lines.append(f"  {feature['feature']:<24}{bars:<{_WIDE}}{effect:>8}{margin:>8}  {feature['answer']}")
    left = len(last["drift"]["features"]) - _SHOWN
    lines += [f"  and {left} more"] if left > 0 else []
    return "\n".join(lines + _matured(monitor, outcomes))


def _began(body: Mapping[str, Any]) -> str:
    """Return which features were broken on a day, each with the hour in which that began."""
    began: dict[str, str] = {}
    for each in body.get("began", ()):
        began.setdefault(each["feature"], said(each["hour"]))
    return "".join(f", {name} first in {hour}" for name, hour in began.items())


def _matured(monitor: Monitor, outcomes: Sequence[Mapping[str, Any]]) -> list[str]:
    if monitor.baseline is None or not outcomes:
        return []
    last, limit = outcomes[-1], monitor.baseline.limit
    bars = "".join(_level(body["loss"], limit) for body in outcomes[-_DAYS:])
    loss = "no loss" if last["loss"] is None else f"{last['loss']:.4g}"
    alarm = last["detector"]["alarm"]
    state = "no alarm" if alarm is None else f"alarm since {alarm}"
    moved = last["calibration"]
    shift = "too few labels to compare" if moved is None else f"moved by {moved['effect']:.3g}"
    return [
        "",
        f"  losses {bars}  {loss} on {last['day']}, limit {limit:.4g}; {state}",
        f"  labels at the same scores: {shift} (report_only)",
    ]


def _moved(feature: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return max(feature["moved"], key=lambda each: each["effect"] / each["margin"], default=None)


def _bar(body: Mapping[str, Any], name: str) -> str:
    feature = next((each for each in body["drift"]["features"] if each["feature"] == name), None)
    moved = None if feature is None else _moved(feature)
    return " " if moved is None else _level(moved["effect"], moved["margin"])


def _level(value: float | None, limit: float) -> str:
    """Return a bar that is full at twice the limit; blank where there is no value.

    >>> _level(0.0, 0.1), _level(0.1, 0.1), _level(9.0, 0.1), _level(None, 0.1)
    ('▁', '▅', '█', ' ')
    """
    if value is None:
        return " "
    share = min(value / limit / _FULL, 1.0)
    return _BARS[min(int(share * len(_BARS)), len(_BARS) - 1)]
