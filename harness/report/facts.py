"""The four facts under the verdict: what was compared, on how much, how often, and who does what next."""

from harness.report import numbers as n
from harness.report.data import ReportData
from harness.report.figures import Absent
from harness.report.findings import (
    Invalid,
    NoLook,
    NotIdentifiable,
    Promote,
    Reject,
    Retrain,
    TooFew,
    Undecided,
    Waiting,
)
from harness.report.markup import Markup, tag
from harness.report.sentences import sentence

Fact = tuple[str, tuple[Markup, ...]]


def facts(data: ReportData) -> tuple[Fact, ...]:
    """Return four (name, lines) pairs."""
    compared = (
        sentence("champion ", tag("b", data.champion.name, class_="nb"), ", live"),
        sentence("challenger ", tag("b", data.challenger.name, class_="nb"), ", shadow"),
    )
    return (("Compared", compared), _second(data), _third(data), ("Next", _lines(*_next(data))))


def _lines(*words: str) -> tuple[Markup, ...]:
    return tuple(sentence(word) for word in words)


def _second(data: ReportData) -> Fact:
    finding = data.verdict.finding
    if isinstance(finding, Invalid) and finding.overlap is not None:
        positions = f"{n.count(finding.overlap[1] - finding.overlap[0])} positions"
        if finding.overlap_decisions is None:
            return "Overlap", _lines(positions)
        return "Overlap", _lines(f"{positions},", f"{n.count(finding.overlap_decisions)} decisions")
    if isinstance(finding, NotIdentifiable):
        way = data.metric.identification.replace("_", " ")
        return "Metric", _lines(data.metric.name, f"identification: {way}")
    if isinstance(finding, NoLook):
        return "Decisions", _lines(
            f"{n.count(finding.recorded)} recorded, {n.count(finding.scored)} scored",
            f"{n.count(finding.matured)} matured",
        )
    if isinstance(data.coverage, Absent):
        return "Decisions", _lines("not counted")
    first, last = data.coverage[0], data.coverage[-1]
    return "Decisions", _lines(
        f"{n.count(first.kept)} since {n.day_year(data.window[0])}",
        f"{n.count(last.kept)} used; {n.count(first.kept - last.kept)} left",
    )


def _third(data: ReportData) -> Fact:
    finding = data.verdict.finding
    if isinstance(finding, Invalid):
        return "Looks", _lines(f"{max(0, len(data.looks) - 1)} counted; 1 refused")
    if isinstance(finding, NotIdentifiable):
        seen = "no exploration was logged" if finding.explore is not None else "it is never logged"
        return "Missing", _lines("the outcome of the other action;", seen)
    if data.verdict.state in {"HOLD", "NONE"}:
        first = f"{len(data.looks)} of at most {data.plan.max_looks}{_every(data)}"
        if data.next_look is None:
            return "Looks", _lines(first)
        return "Looks", _lines(first, f"next on {n.day(data.next_look)}, {n.clock(data.next_look)}")
    plural = "the guarantee" if len(data.looks) != 1 else "one look"
    if plural == "one look":
        return "Looks", _lines("1; the guarantee", "holds for later ones too")
    return "Looks", _lines(f"{len(data.looks)}{_every(data)}; the guarantee", "holds at all of them together")


def _every(data: ReportData) -> str:
    return f", {data.plan.every}" if data.plan.every else ""


def _next(data: ReportData) -> tuple[str, ...]:  # noqa: PLR0911 -- one return a state
    finding = data.verdict.finding
    match finding:
        case Promote():
            return _approve(data)
        case TooFew() | Undecided() | Waiting() if data.window_over:
            return ("the window is over;", f"it ends as {data.verdict.state}")
        case TooFew() | Undecided() | NoLook():
            if data.next_look is None:
                return ("somebody looks again:", f"harness evaluate {data.experiment}")
            again = "looks by itself" if isinstance(finding, NoLook) else "looks again by itself"
            return ("nothing to do; the schedule", again)
        case Reject():
            return ("the owner closes the experiment;", "the champion stays")
        case Retrain():
            return ("the owner takes it live, or one", "trained anew in the same way")
        case Invalid(next=words):
            return words
        case NotIdentifiable(explore=None):
            return ("the owner registers a metric", "that the log can answer")
        case NotIdentifiable(explore=share, where=where, period=period):
            return (f"explore {n.percent_fine(share or 0.0)} of {where}, for {period}",)
        case _:
            return ("the owner looks into the gate", "that does not hold")


def _approve(data: ReportData) -> tuple[str, ...]:
    if data.verdict.approvals is None:
        return ("the owner promotes it;", "live decisions change only then")
    if data.verdict.promoted is not None:
        return (f"the promotion is recorded at {n.count(data.verdict.promoted)};", "recorders report it")
    have, need = data.verdict.approvals
    if have >= need:
        return ("the promotion takes effect;", "recorders report it")
    return (f"approval {have + 1} of {need}, then", "the champion is replaced")
