"""Experiments, looks and verdicts as text for a terminal."""

from collections.abc import Sequence
from datetime import datetime

from harness.beside import asides, unread
from harness.experiment_status import Shown, Status, Unlisted
from harness.experiments import Experiment
from harness.log.lines import escaped
from harness.looks import Look
from harness.recovery.invalid import Invalid
from policies.estimate import UNIT_NOUNS, Estimate
from policies.verdict import Verdict

SEEN_FROM = {
    "ahead": "before its window opened",
    "open": "while its window was open",
    "past": "after its window had passed",
}
_SLICES_SHOWN = 10
_MARKS = {"passes": "✓", "fails": "✗", "waits": "…"}


def when(instant: datetime) -> str:
    """Return an instant to the minute, in UTC."""
    return instant.strftime("%Y-%m-%d %H:%MZ")


def registered_text(found: Experiment) -> str:
    """Return what was registered and where."""
    return (
        f'"{found.id}" is registered at position {found.event.position}, {SEEN_FROM[found.seen_from]}.\n'
        f"digest {found.event.body['declaration_digest']}"
    )


def status_table(found: Sequence[Status | Unlisted]) -> str:
    """Return one line for each experiment, and below them why one could not be read."""
    if not found:
        return 'No experiment is registered. Begin with "harness experiment new".'
    lines = [f"{'experiment':<28}{'decision point':<24}{'challenger':<22}{'looks':>6}  state"]
    lines += [_status_line(each) for each in found]
    lines += [escaped(each.why) for each in found if isinstance(each, Unlisted)]
    return "\n".join(lines)


def _status_line(each: Status | Unlisted) -> str:
    if isinstance(each, Unlisted):  # its name is whatever somebody wrote into the log
        return f"{escaped(each.id):<28}{'':<24}{'':<22}{'':>6}  {each.state}"
    return f"{each.id:<28}{each.decision_point:<24}{each.challenger:<22}{len(each.looks):>6}  {each.state}"


def experiment_text(found: Experiment, state: Status) -> str:
    """Return what is registered, the looks so far and what comes next."""
    declared, about = found.declared, found.declared.experiment
    lines = [
        f"{about.id}  {about.question}",
        f"  decision point   {about.decision_point}",
        f"  challenger       {declared.challenger.model}  {found.challenger.digest[:16]}",
        f"  window           from {_end(declared.window.start)} to {_end(declared.window.stop)}",
        f"  label            {declared.label.name}, known after {declared.label.window}",
        f"  unit             {declared.unit.kind}"
        + (f" in {declared.unit.timezone}" if declared.unit.timezone else ""),
        f"  metrics          {', '.join(f'{each.name} ({each.role})' for each in found.plan.metrics)}",
        f"  policy           {declared.policy.name}, alpha {found.plan.policy.alpha:.4g}" + _drawn(found),
        f"  owner            {about.owner}",
        f"  registered       at position {found.event.position}, {SEEN_FROM[found.seen_from]}",
        f"  digest           {found.event.body['declaration_digest']}",
        "",
        *lost_lines(state.invalid),
        looks_table(state.looks),
        next_line(state),
    ]
    return "\n".join(lines)


def _drawn(found: Experiment) -> str:
    if found.level is None:
        return ""
    wealth = found.event.body["wealth"]
    return f", turn {wealth['turn']} of the ledger {wealth['ledger']}"


def _end(end: int | datetime) -> str:
    return when(end) if isinstance(end, datetime) else f"position {end}"


def looks_table(looks: Sequence[Shown]) -> str:
    """Return one line for each look: figures of the first primary metric."""
    if not looks:
        return "No look yet."
    heading = f"{'look':>4}  {'as of':<17}{'units':>6}{'difference':>12}  {'confidence sequence':<20}"
    lines = [f"{heading}{'e-value':>11}  state"]
    lines += [
        f"{each.number:>4}  {when(each.time):<17}{each.units:>6}{_number(each.point):>12}  "
        f"{_between(each.low, each.high):<20}{_e(each.e_value):>11}  {each.state}"
        for each in looks
    ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:+.5f}"


def _between(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{low:+.5f} to {high:+.5f}"


def _e(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def next_line(state: Status) -> str:
    """Return what comes next."""
    if state.concluded and state.verdict is not None:
        return f"Concluded: {state.verdict.body['state']}, recorded at position {state.verdict.position}."
    if state.next_look is None and len(state.looks) >= state.max_looks:
        return f'All {state.max_looks} looks are taken; record the verdict with "harness decide {state.id}".'
    if state.window_over:
        return f'{ends_as(state.looks[-1].state)} Record it with "harness decide {state.id}".'
    last = state.looks[-1] if state.looks else None
    needs = "" if last is None else projection(last.more_units, last.noun, last.more_leads_to)
    due = "" if state.next_look is None else f" The next look is due {when(state.next_look)}."
    return f"Look {len(state.looks)} of at most {state.max_looks}.{due}{needs}"


def ends_as(state: str) -> str:
    """Return what is said when the newest look has seen the whole window.

    >>> ends_as("HOLD")
    'The window is over; it ends as HOLD.'
    """
    return f"The window is over; it ends as {state}."


def projection(more: int | None, noun: str, leads_to: str | None) -> str:
    """Return a sentence, with a space before it, on how many more units would decide and for what.

    >>> projection(160, "days", "REJECT")
    ' At this rate about 160 more mature days would end it as REJECT.'
    """
    if more is None:
        return ""
    return f" At this rate about {more} more mature {noun} would end it as {leads_to}."


def look_text(look: Look, position: int | None, *, over: bool = False) -> str:
    """Return a look in full: verdict, gates, what was left out and why. `over`: it saw the whole window."""
    verdict, seen = look.verdict, look.integrity
    place = "not stored" if position is None else f"position {position}"
    lines = [
        f"{verdict.state}  {look.experiment}, look {look.number}, {place}",
        f"  as of position {look.as_of.position}, {when(look.as_of.time)}",
        *(f"  {_reason(reason, over=over)}" for reason in verdict.reasons),
    ]
    noun = UNIT_NOUNS[verdict.estimates[0].unit] if verdict.estimates else "units"
    more = ends_as(verdict.state) if over else projection(verdict.more_units, noun, verdict.more_leads_to)
    lines += [f"  {more.strip()}"] if more else []
    lines += ["", f"  {'':<2}{'gate':<28}{'e, largest so far':>18}  rule and figures"]
    for gate in verdict.gates:
        lines.append(f"  {_MARKS[gate.state]} {gate.name:<28}{_e(gate.e_value):>18}  {gate.rule}")
        lines.append(f"  {'':<2}{'':<28}{'':>18}  {_reason(gate.reason, over=over)}")
        if gate.assumption:
            lines.append(f"  {'':<2}{'':<28}{'':>18}  {gate.validity}, provided that {gate.assumption}")
    lines += beside_lines(verdict)
    lines += [
        "",
        f"  decisions {seen.decisions:,} = {seen.used:,} used"
        + "".join(f" + {count:,} {name.replace('_', ' ')}" for name, count in seen.reasons.items() if count),
        f"  registered {SEEN_FROM[look.seen_from]}; positions {look.start} to {look.stop - 1}",
        f"  evidence {look.evidence_digest}",
        f"  verdict  {look.verdict_digest}",
    ]
    return "\n".join(lines)


def _clipped(each: Estimate) -> str:
    """Return the warning that a proof is about clipped differences, and of how many."""
    noun = UNIT_NOUNS[each.unit]
    return (
        f"Warning: {each.metric} of {each.clipped:,} of {each.units:,} {noun} differs by more than the clip, "
        f"{each.clip:g}, and counts as that: what is proven is the mean of clipped differences."
    )


def lost_lines(lost: Sequence[Invalid]) -> list[str]:
    """Return a line for each look or verdict that the log lost when it was restored."""
    return [
        f"INVALID  {' '.join(filter(None, (one.type, one.state)))}, at position {one.position} of epoch "
        f"{one.epoch}: lost with its history (harness log show {one.at})"
        for one in lost
    ]


def beside_lines(verdict: Verdict) -> list[str]:
    """Return what stands beside the gates: a remedy, slices by their evidence of harm, figures to read."""
    lines: list[str] = []
    if verdict.retraining:
        remedy = verdict.retraining
        who = "" if remedy.challenger is None else f", by {remedy.challenger}"
        lines += ["", f"  to do: {remedy.action}{who}; what changed: {remedy.diagnosis.change}"]
        lines += [f"    {why}" for why in remedy.diagnosis.because]
        lines += [f"    {_clipped(each)}" for each in verdict.estimates if each.clipped]
    if verdict.slices:
        lines += ["", f"  {'slice':<36}{'units':>8}{'difference':>12}{'e of harm':>11}"]
        for each in verdict.slices[:_SLICES_SHOWN]:
            harmed = "  harmed" if each.harmed else ""
            lines.append(
                f"  {each.name:<36}{each.units:>8}{_number(each.point):>12}{_e(each.e_value):>11}{harmed}"
            )
        left = len(verdict.slices) - _SLICES_SHOWN
        lines += [f"  and {left} more"] if left > 0 else []
    read = asides(verdict)
    lines += ["", f"  beside the gates ({unread(read)})"] if read else []
    for aside in read:
        lines += [f"    {aside.name}", f"      {aside.figure}"]
        lines.append(f"      {aside.validity}, provided that {aside.assumption}")
    return lines


def _reason(reason: str, *, over: bool) -> str:
    """Return a gate's reason, without the projection that ends it once no more can come."""
    return reason.partition(" About ")[0] if over else reason
