"""Who is compared, and the verdict: state, sentence, paragraph, four facts."""

from harness.report import numbers as n
from harness.report.data import ReportData
from harness.report.facts import facts
from harness.report.marks import WORDS, mark
from harness.report.markup import Markup, join, tag
from harness.report.sentences import headline, paragraph


def header(data: ReportData) -> Markup:
    """Return the head of the page: decision point, question, and the place in the log it shows."""
    place = tag("span", f"as of position {n.count(data.position)}", class_="nb")
    time = tag("span", f"{n.stamp(data.time)} UTC", class_="nb")
    asof = tag("span", "Experiment ", tag("code", data.experiment), " · ", place, " · ", time, class_="asof")
    return tag(
        "header",
        tag("div", tag("b", data.decision_point)),
        tag("div", data.question, tag("br"), asof),
        class_="row",
    )


def verdict(data: ReportData) -> Markup:
    """Return the first section; a reader may stop here."""
    state = data.verdict.state
    words = [
        tag("div", tag("dt", name), tag("dd", join(list(_broken(lines))))) for name, lines in facts(data)
    ]
    return tag(
        "section",
        tag("div", mark(state, 26), tag("span", WORDS[state]), class_=f"state {state}"),
        tag(
            "div",
            tag("h1", headline(data), id="verdict-h"),
            tag("p", paragraph(data), class_="said"),
            tag("dl", *words, class_="facts"),
        ),
        class_="row verdict",
        id="verdict",
        aria_labelledby="verdict-h",
    )


def _broken(lines: tuple[Markup, ...]) -> list[Markup]:
    parts: list[Markup] = []
    for index, line in enumerate(lines):
        if index:
            parts.append(tag("br"))
        parts.append(line)
    return parts
