"""The words of the verdict. Names, counts and dates are filled in; nothing else varies."""

from harness.report import numbers as n
from harness.report.data import Gate, Look, Metric, ReportData
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
from harness.report.gate_words import gate_figures
from harness.report.markup import Markup, join, tag, text


def name(model: str) -> Markup:
    """Return a model's name, which never breaks over two lines."""
    return tag("span", model, class_="nb")


def sentence(*parts: object) -> Markup:
    """Return parts joined as they are; plain text is escaped."""
    return join([text(part) for part in parts])


def headline(data: ReportData) -> Markup:  # noqa: C901, PLR0911 -- one return a state, in the order of the table
    """Return the verdict in one sentence, without advice."""
    challenger, champion = name(data.challenger.name), name(data.champion.name)
    match data.verdict.finding:
        case Promote(superior=True):
            return sentence(
                challenger,
                f" predicts {data.predicts} better than ",
                champion,
                f", and {_every(data)} holds.",
            )
        case Promote():
            margin = n.plain(data.metric.margin or 0.0, data.metric.decimals)
            return sentence(
                challenger,
                " is not worse than ",
                champion,
                f" by more than {margin}, and {_every(data)} holds.",
            )
        case TooFew(required=required, matured=matured, noun=noun):
            why = "Not decided" if data.window_over else "Too early to decide"
            return sentence(
                f"{why}: the policy asks for {n.count(required)} matured {noun}, "
                f"and {n.count(matured)} {'has' if matured == 1 else 'have'} matured."
            )
        case Undecided():
            look = _last(data)
            ends = (
                n.signed(look.low or 0.0, data.metric.decimals),
                n.signed(look.high or 0.0, data.metric.decimals),
            )
            return sentence(
                f"Not decided: the {data.metric.difference} may be anything from {ends[0]} to {ends[1]}."
            )
        case Waiting(gate=gate):
            return sentence(f"Not decided: {_lower(gate)} does not hold yet.")
        case Reject(what=what):
            return sentence(challenger, " is worse than ", champion, f": {what} is beyond its limit.")
        case Retrain(winner=winner):
            return sentence(f"{winner} learned from newer decisions and beats ", champion, ": retrain.")
        case Invalid(defect=defect):
            return sentence("No verdict on quality: ", _named(defect, data), ".")
        case NotIdentifiable(never_seen=clause):
            return sentence(f"The log cannot say which model is better: {clause}.")
        case NoLook() as none:
            return _waiting_for_first(data, none)


def paragraph(data: ReportData) -> Markup:  # noqa: PLR0911 -- one return a state
    """Return the paragraph that carries the verdict's figures."""
    finding = data.verdict.finding
    match finding:
        case Promote():
            return _promote(data, finding)
        case TooFew():
            return _too_few(data, finding)
        case Undecided():
            return _undecided(data, finding)
        case Waiting(gate=gate):
            ends = f" The window is over; it ends as {data.verdict.state}." if data.window_over else ""
            return sentence(gate_figures(gate, _gate(data, gate)) + ends)
        case Reject(gate=gate, what=what):
            return sentence(gate_figures(what[:1].upper() + what[1:], _gate(data, gate)))
        case Retrain():
            gain, sure = (n.plain(value, data.metric.decimals) for value in (finding.gain, finding.sure))
            return sentence(
                f"Its {data.metric.name} is better by {gain} a decision, by {sure} for sure, and "
                f"better than that of the champion recalibrated. What changed is the {finding.change}."
            )
        case Invalid():
            return sentence(f"{finding.facts}. {finding.law}, so no metric is shown.")
        case NotIdentifiable():
            return _not_identifiable(data, finding)
        case NoLook():
            return sentence(
                "The experiment is registered and the shadow follows the log: "
                f"{n.count(finding.recorded)} recorded, {n.count(finding.scored)} scored, "
                f"{n.count(finding.matured) if finding.matured else 'none'} old enough to count."
            )


def difference_in_words(metric: Metric, look: Look) -> str:
    """Return "lower by 0.0046": the direction as a word, the size without its sign."""
    value = look.difference or 0.0
    if float(f"{value:.{metric.decimals}f}") == 0:
        return "the same"
    return f"{'lower' if value < 0 else 'higher'} by {n.plain(abs(value), metric.decimals)}"


def interval_in_words(metric: Metric, low: float, high: float) -> str:
    """Return an interval of differences with words for its signs."""
    places = metric.decimals
    if high <= 0:
        return f"{n.plain(abs(high), places)} to {n.plain(abs(low), places)} lower"
    if low >= 0:
        return f"{n.plain(low, places)} to {n.plain(high, places)} higher"
    return f"from {n.plain(abs(low), places)} lower to {n.plain(high, places)} higher"


def _promote(data: ReportData, finding: Promote) -> Markup:
    look = _last(data)
    said = f"Its {data.metric.name} is {difference_in_words(data.metric, look)}"
    if look.low is not None and look.high is not None:
        said += (
            f" ({data.plan.level} confidence sequence: {interval_in_words(data.metric, look.low, look.high)})"
        )
    if data.levels is not None and look.difference and data.levels.champion:
        share = abs(look.difference) / abs(data.levels.champion)
        said += (
            f", {n.percent(share)} of the champion’s {n.plain(data.levels.champion, data.metric.decimals)}"
        )
    said += "."
    if finding.superior and look.low is not None and look.high is not None and look.low <= 0 <= look.high:
        said += _one_sided(data)
    if finding.flipped is not None:
        said += f" The answers differ in {n.percent(finding.flipped)} of decisions."
    if finding.finding is None:
        return sentence(said)
    return sentence(said, " ", tag("a", finding.finding, href="#slices"))


def _one_sided(data: ReportData) -> str:
    """Return why a verdict is reached while the interval holds 0: it is two-sided, the hypothesis is not."""
    best = max((look.log_e for look in data.looks if look.log_e is not None), default=None)
    if best is None:
        return ""
    needed = n.plain(data.plan.needed_e, 0)
    said = "The interval is two-sided and still holds 0; the e-value for “better” is"
    return f" {said} {n.e_value(best)}, and {needed} is needed."


def _too_few(data: ReportData, finding: TooFew) -> Markup:
    if data.window_over:
        return _over(data)
    missing = finding.required - finding.matured
    verb = "is" if missing == 1 else "are"
    said = f"About {n.count(n.about(missing))} more {verb} needed"
    if finding.per_day is not None and finding.by is not None:
        rate = n.count(n.about(finding.per_day)) if finding.noun != "days" else "one"
        said += f"; at {rate} a day they will have matured by {n.day(finding.by)}"
    return sentence(f"{said}. So far {_metric_so_far(data)}, and {_guardrails(data)}.")


def _over(data: ReportData) -> Markup:
    """Return the paragraph of a HOLD that no later look can change: nothing is projected."""
    return sentence(
        f"So far {_metric_so_far(data)}, and {_guardrails(data)}. "
        f"The window is over; it ends as {data.verdict.state}."
    )


def _undecided(data: ReportData, finding: Undecided) -> Markup:
    if data.window_over:
        return _over(data)
    if finding.more is None:
        return sentence(
            f"More of the same data will not decide it. So far {_metric_so_far(data)}, "
            f"and {_guardrails(data)}; after look {finding.max_look} the experiment ends as HOLD."
        )
    look = _last(data)
    stays = n.signed(look.difference or 0.0, data.metric.decimals)
    by = f", by {n.day(finding.by)}" if finding.by is not None else ""
    more = n.about(finding.more)
    noun = f"{finding.noun.removesuffix('s')} is" if more == 1 else f"{finding.noun} are"
    return sentence(
        f"About {n.count(more)} more matured {noun} needed "
        f"if the difference stays at {stays}{by}; after look {finding.max_look} the experiment ends as HOLD."
    )


def _not_identifiable(data: ReportData, finding: NotIdentifiable) -> Markup:
    share = finding.unseen / finding.decisions if finding.decisions else 0.0
    counts = f"{n.count(finding.unseen)} of {n.count(finding.decisions)}"
    said = f"In {counts} decisions ({n.percent(share)}) {finding.reason}."
    if data.bounds is not None:
        ends = n.interval(data.bounds.low, data.bounds.high, data.metric.decimals)
        said += f" Any difference from {ends} agrees with the log"
        if data.metric.limit is not None:
            said += f"; the margin is {n.signed(data.metric.limit, data.metric.decimals)}"
        said += "."
    return sentence(said)


def _waiting_for_first(data: ReportData, finding: NoLook) -> Markup:
    if finding.first is None:
        return sentence("No look yet: the first is taken when it is asked for.")
    when = f"{n.day(finding.first)} at {n.clock(finding.first)}"
    if finding.first < data.time:
        return sentence(f"No look yet: the first was due on {when}.")
    said = f"No look yet: the first is on {when}"
    if finding.expected is not None:
        said += f", when about {n.count(n.about(finding.expected))} decisions will have matured"
    return sentence(said, ".")


def _metric_so_far(data: ReportData) -> str:
    look = data.last
    if look is None or look.difference is None:
        return "no difference can be given"
    said = f"the {data.metric.name} is {difference_in_words(data.metric, look)}"
    if look.low is not None and look.high is not None:
        said += f" ({interval_in_words(data.metric, look.low, look.high)})"
    return said


def _every(data: ReportData) -> str:
    """Return what holds beside the primary metric; without a registered guardrail it is the other gates."""
    return "every guardrail" if any(gate.group == "guardrail" for gate in data.gates) else "every gate"


def _guardrails(data: ReportData) -> str:
    for gate in data.gates:
        if gate.state == "fails" or (gate.group == "guardrail" and gate.state != "passes"):
            return f"{_lower(gate.name)} does not hold"
    return "every guardrail holds" if _every(data) == "every guardrail" else "no gate fails"


def _gate(data: ReportData, wanted: str) -> Gate:
    found = [gate for gate in data.gates if gate.name == wanted]
    assert found, f"the verdict names the gate {wanted!r}, which the ledger does not hold"
    return found[0]


def _last(data: ReportData) -> Look:
    assert data.last is not None, f"a verdict of {data.verdict.state} without a look"
    return data.last


def _lower(words: str) -> str:
    """Return the words with a small first letter, unless the first word is an abbreviation."""
    return words if words[:2].isupper() else words[:1].lower() + words[1:]


def _named(clause: str, data: ReportData) -> Markup:
    """Return a clause in which the models' names do not break."""
    parts: list[Markup] = []
    for index, word in enumerate(clause.split(" ")):
        plain = word.rstrip(",;")
        if index:
            parts.append(text(" "))
        known = plain in {data.challenger.name, data.champion.name}
        parts.append(sentence(name(plain), word[len(plain) :]) if known else text(word))
    return join(parts)
