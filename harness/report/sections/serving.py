"""Cost of serving: the price of the challenger."""

from harness.report import numbers as n
from harness.report.charts.latency import figure as milliseconds
from harness.report.charts.latency import latency_chart
from harness.report.data import ReportData
from harness.report.figure import Table, absent, caption, figure, heading, pair
from harness.report.figures import Absent, LatencyRow, Serving
from harness.report.markup import Markup, tag
from harness.report.metric_words import words
from harness.report.sections.frame import section
from policies.serving import LATENCY


def serving(data: ReportData) -> Markup:
    """Return the section."""
    found = data.serving
    if isinstance(found, Absent):
        return section("serving", "Cost of serving", absent(found.sentence))
    rail = (
        f"{n.count(found.scorings)} scorings of recorded snapshots.",
        f"{n.count(found.timed)} times of the champion, as recorded live." if found.timed else "",
        f"{n.count(found.alone)} times of the challenger, each of one row asked alone."
        if found.alone
        else "",
    )
    return section(
        "serving", "Cost of serving", pair(_latency(data, found), _failures(data, found)), rail=rail
    )


def _latency(data: ReportData, found: Serving) -> Markup:
    title = heading("Latency", "by quantile")
    if isinstance(found.latency, Absent):
        return absent(found.latency.sentence, title=title)
    names = (data.champion.name, data.challenger.name)
    rows = [(row.name, _value(row.champion), _value(row.challenger)) for row in found.latency]
    return figure(
        latency_chart(found.latency, names=names, slo_ms=found.slo_ms),
        title=title,
        finding=_latency_finding(found.latency),
        change=_latency_change(data),
        table=Table("Latency, ms", ("Quantile", "Champion", "Challenger"), rows),
    )


def _latency_change(data: ReportData) -> str:
    share = words(LATENCY)[0]
    if any(gate.group in {"primary", "guardrail"} and share in gate.name for gate in data.gates):
        return (
            f"the {share}, which is a gate: the challenger’s, asked alone, beside the champion’s as recorded."
        )
    return _change(data, ("slower", "slower"), "nothing by itself: no gate of this policy reads latency.")


def _value(value: float | None) -> str:
    return "none" if value is None else milliseconds(value)


def _latency_finding(rows: tuple[LatencyRow, ...]) -> str:
    middle = rows[0]
    last = rows[-1]
    if middle.champion is not None and middle.challenger is not None and middle.champion > 0:
        ratio = middle.challenger / middle.champion
        return f"At the median the challenger takes {n.plain(ratio, 1)} times the champion’s time."
    known, who = (last.champion, "champion") if last.champion is not None else (last.challenger, "challenger")
    time = n.unit(_value(known), "ms")
    return f"The {who} answers within {time} at {last.name}; the other’s times were not recorded."


def _failures(data: ReportData, found: Serving) -> Markup:
    title = heading("Failures", "challenger")
    failed = sum(count for _, count, _ in found.failures)
    rows = [
        tag(
            "tr",
            tag("th", reason, scope="row"),
            tag("td", n.count(count), class_="n"),
            tag("td", note, class_="q"),
        )
        for reason, count, note in found.failures
    ] or [
        tag("tr", tag("th", "No failure", scope="row"), tag("td", "0", class_="n"), tag("td", "", class_="q"))
    ]
    if failed:
        share = f"{n.count(failed)} of {n.count(found.scorings)}"
        said = f"{share} decisions have no challenger score; each is a row in the log."
    else:
        said = f"The challenger scored all {n.count(found.scorings)} decisions that it was given."
    change = _change(data, ("fail", "failed"), "nothing by itself: no gate of this policy reads failures.")
    table = tag("table", tag("tbody", *rows), class_="kv")
    return tag("figure", title, table, caption(said, change))


def _change(data: ReportData, words: tuple[str, str], otherwise: str) -> str:
    """Return the limit of the gate whose name holds the first word, said with the second."""
    for gate in data.gates:
        if words[0] in gate.name.lower() and gate.limit is not None and gate.form == "share":
            return f"more than {n.percent_tight(gate.limit)} {words[1]}."
    return otherwise
