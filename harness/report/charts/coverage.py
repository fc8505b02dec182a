"""From eligible to used: a table in which every decision is kept or left for a named reason."""

from itertools import pairwise

from harness.report import numbers as n
from harness.report.figures import Stage
from harness.report.markup import Markup, tag
from harness.report.scales import round_up


def coverage_table(stages: tuple[Stage, ...]) -> Markup:
    """Return the table; the counts of every stage add up, or the programme has a fault."""
    for before, after in pairwise(stages):
        gone = sum(count for _, count in after.left)
        assert before.kept == after.kept + gone, f"{before.kept} decisions became {after.kept} and {gone}"
    total = stages[0].kept
    most = max([count for stage in stages for _, count in stage.left], default=0)
    scale = round_up(most) if most else 1.0
    rows: list[Markup] = []
    for stage in stages:
        rows.extend(_left(reason, count, total, scale) for reason, count in stage.left)
        rows.append(_kept(stage, total))
    key = f"kept: full width = {n.count(total)}"
    if most:
        key += f" · left: full width = {n.count(round(scale))}"
    head = tag(
        "tr",
        tag("th", "Stage, and why decisions left", scope="col"),
        tag("th", "Decisions", scope="col", class_="n"),
        tag("th", "of eligible", scope="col", class_="n"),
        tag("th", key, scope="col", class_="strip"),
    )
    return tag("table", tag("thead", head), tag("tbody", *rows), class_="cov")


def _kept(stage: Stage, total: int) -> Markup:
    share = stage.kept / total if total else 0.0
    return tag(
        "tr",
        tag("th", stage.name, scope="row"),
        tag("td", n.count(stage.kept), class_="n"),
        tag("td", n.percent(share, 2), class_="n"),
        tag("td", _bar("bar", share), class_="strip"),
        class_="stage",
    )


def _left(reason: str, count: int, total: int, scale: float) -> Markup:
    share = count / total if total else 0.0
    return tag(
        "tr",
        tag("th", reason, scope="row"),
        tag("td", n.count(-count), class_="n"),
        tag("td", n.percent(share, 2), class_="n"),
        tag("td", _bar("barx", count / scale), class_="strip"),
        class_="ex",
    )


def _bar(class_: str, share: float) -> Markup:
    bar = tag("rect", class_=class_, x=0, y=5, height=6, width=f"{min(share, 1.0) * 100:.2f}%")
    return tag("svg", bar, height=16, aria_hidden="true")
