"""The gate ledger: every rule that the policy reads; nothing outside it may change the verdict."""

from itertools import groupby

from harness.report import numbers as n
from harness.report.charts.gate_strip import ROW, TALL, spacer, strip
from harness.report.charts.gate_strip import heading as strip_heading
from harness.report.data import Gate, ReportData
from harness.report.figure import absent, caption
from harness.report.gate_words import gate_interval, gate_value
from harness.report.marks import gate_mark
from harness.report.markup import Markup, tag
from harness.report.sections.frame import section

_STATE_CLASS = {"passes": "ok", "fails": "no", "waits": "wait"}
_ONE_LINE = 32
_ORDER = ("primary", "guardrail", "data", "people")


def gates(data: ReportData) -> Markup:
    """Return the section."""
    if not data.gates:
        return section("gates", "Gates", absent("The policy reads its gates at the first look."))
    ordered = sorted(data.gates, key=lambda gate: _ORDER.index(gate.group))
    rows: list[Markup] = []
    for group, members in groupby(ordered, key=lambda gate: gate.group):
        rows.append(_group(_group_name(group, data)))
        rows.extend(_row(gate) for gate in members)
    head = tag(
        "thead",
        tag(
            "tr",
            tag("th", "Gate", scope="col"),
            tag("th", "Registered rule", scope="col"),
            tag("th", "Value", scope="col", class_="n"),
            tag("th", f"{data.plan.level} confidence", tag("br"), "sequence", scope="col", class_="n"),
            tag("th", strip_heading(), scope="col", class_="strip"),
            tag("th", "State", scope="col"),
        ),
    )
    table = tag("table", head, tag("tbody", *rows), class_="ledger")
    shown = tag("figure", table, caption(_finding(data), _change(data)))
    rail = (
        tag(
            "span",
            "The policy ",
            tag("code", data.plan.policy),
            f" was registered at position {n.count(data.plan.registered_at)}.",
        ),
        "Each strip has its own scale; the dashed rule is that row’s limit.",
    )
    return section("gates", "Gates", shown, rail=rail)


def _group_name(group: str, data: ReportData) -> str:
    metric = data.metric
    return {
        "primary": f"Primary metric: {metric.difference}, challenger − champion; "
        f"{metric.direction} is better",
        "guardrail": "Guardrails: all must pass",
        "data": "Data",
        "people": "People",
    }[group]


def _group(name: str) -> Markup:
    return tag(
        "tr",
        tag("th", name, colspan=4, scope="rowgroup"),
        tag("td", spacer(40), class_="strip"),
        tag("td"),
        class_="grp",
    )


def _row(gate: Gate) -> Markup:
    long = len(gate.rule) > _ONE_LINE
    return tag(
        "tr",
        tag("th", gate.name, scope="row"),
        tag("td", gate.rule, class_="rule q long" if long else "rule q"),
        tag("td", gate_value(gate), class_="n val"),
        tag("td", gate_interval(gate), class_="n cis q"),
        tag("td", strip(gate, TALL if long else ROW), class_="strip"),
        tag("td", gate_mark(gate.state), gate.note or gate.state, class_=f"st {_STATE_CLASS[gate.state]}"),
    )


def _finding(data: ReportData) -> str:
    read = [gate for gate in data.gates if gate.group != "people"]
    open_ = [gate for gate in read if gate.state != "passes"]
    count = len(read)
    if not open_:
        return f"Every gate that the policy reads, with the rule as registered: all {count} pass."
    names = ", ".join(_lower(gate.name) for gate in open_[:3])
    more = f" and {len(open_) - 3} more" if len(open_) > 3 else ""  # noqa: PLR2004 -- three names fit the line
    verb = "does" if len(open_) == 1 else "do"
    return f"Every gate that the policy reads, with the rule as registered: {names}{more} {verb} not pass."


def _lower(words: str) -> str:
    return words[:1].lower() + words[1:]


def _change(data: ReportData) -> str:
    match data.verdict.state:
        case "PROMOTE":
            return "any one gate failing; a missing approval delays the action, not the verdict."
        case "INVALID":
            return "every one of these gates passing; only then are metrics read."
        case "REJECT":
            return "the failing gate back inside its limit; REJECT needs only one."
        case _ if data.plan.policy == "retraining":
            return (
                "every gate passing gives RETRAIN; while one does not, its reason says what would change it."
            )
        case _:
            return "every gate passing gives PROMOTE; harm shown on a metric or guardrail gives REJECT."
