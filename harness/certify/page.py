"""Certificates as one page in the style of the report: a table and two drawings for each."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.certify.certificate import Certificate, Tried
from harness.certify.procedures import Procedure
from harness.report import numbers as n
from harness.report.markup import Markup, tag
from harness.report.page import document
from harness.report.scales import Linear
from harness.report.sections.frame import section
from harness.report.svg import Drawing

WIDE, NARROW = 912, 354
_TOP, _BOTTOM, _LEFT = 26.0, 176.0, 52.0
_SAID = (
    "Simulated experiments of known truth, under the plan as it is registered. Where acting is wrong, the "
    "share of runs that act must hold alpha over all looks together; a paired z that takes each look for the "
    "only one stands beside it."
)
_HEADS = ("truth", "PROMOTE", "REJECT", "HOLD", "limit", "naive z promotes", "decisions", "median look", "")
_PROCEDURE = ("procedure", "wrong", "limit", "beside it", "")


def render(
    found: Mapping[str, Certificate], procedures: Sequence[Procedure], left: Sequence[str] = ()
) -> str:
    """Return the page of these certificates, by name, and what is `left` uncertified.

    The same figures give the same bytes.
    """
    good, kept = (sum(each.holds for each in some) for some in (found.values(), procedures))
    heading = f"{good} of {len(found)} certified plans hold every error rate, "
    heading += f"and {kept} of {len(procedures)} procedures their limit."
    top = tag(
        "section",
        tag("div", class_="rail"),
        tag("div", tag("h1", heading), tag("p", _SAID, class_="said"), class_="body"),
        class_="row verdict",
        id="verdict",
    )
    parts = [_section(f"plan-{place}", name, each) for place, (name, each) in enumerate(found.items(), 1)]
    parts.append(_procedures(procedures, left))
    foot = "Simulated by the harness. One file, no script, no external request."
    body = tag("div", tag("main", top, *parts), tag("footer", foot), class_="page")
    return document("Certificates of policies", body, skip="Skip to the figures")


def _procedures(found: Sequence[Procedure], left: Sequence[str]) -> Markup:
    """Return the table of procedures, in the row of a certificate."""
    head = tag(
        "tr", *(tag("th", words, class_="n" if place else None) for place, words in enumerate(_PROCEDURE))
    )
    rail = (
        "What a verdict and its report are made of, each at the truth where it is easiest wrong.",
        "A planned test holds at its planned looks alone.",
    )
    table = tag("table", tag("thead", head), tag("tbody", *(_procedure(each) for each in found)))
    named = [tag("p", f"Not certified: {each}.") for each in left]
    return section("procedures", "Procedures", table, *named, rail=rail)


def _procedure(each: Procedure) -> Markup:
    name = f"{each.name}, planned" if each.planned else each.name
    looks = f"{n.count(each.looks)} look{'s' if each.looks > 1 else ''}"
    said = f"wrong is: {each.wrong_is}, {looks}; beside it: {each.naive_is}"
    cells = (
        f"{each.wrong:.3f}",
        f"{each.limit:g} + {each.tolerance:.3f}",
        "" if each.naive is None else f"{each.naive:.3f}",
        tag("span", "holds" if each.holds else "fails", class_="ok" if each.holds else "no"),
    )
    head = tag("th", tag("b", name), tag("br"), said)
    return tag("tr", head, *(tag("td", cell, class_="n") for cell in cells))


def _section(key: str, name: str, found: Certificate) -> Markup:
    assumed = found.assumed
    share, cluster = n.percent_tight(assumed.discordance), n.count(assumed.cluster)
    models = f"Models differ on {share} of decisions; {cluster} a unit ({found.unit}); "
    rail = (
        f"Policy {found.policy}, alpha {found.alpha:g}. {', '.join(found.metrics)}.",
        f"{n.count(assumed.runs)} runs of {found.looks} looks, {n.count(assumed.per_look)} decisions each.",
        f"{models}labels {assumed.delay} looks late; seed {assumed.seed}.",
        found.invalid,
    )
    wrong = next(each for each in found.tried if each.wrong_is == "PROMOTE")
    power = next((each for each in found.tried if each.right_is == "PROMOTE"), None)
    plots = [_figure(f"{key}-wrong", wrong, f"Promoted by each look, {wrong.truth}", found)]
    if power is not None:
        plots.append(_figure(f"{key}-power", power, "Promoted by each look, what should be found", found))
    return section(key, name, _table(found), tag("div", *plots, class_="stack"), rail=rail)


def _table(found: Certificate) -> Markup:
    head = tag(
        "tr", *(tag("th", words, class_=None if not place else "n") for place, words in enumerate(_HEADS))
    )
    return tag("table", tag("thead", head), tag("tbody", *(_row(each) for each in found.tried)))


def _row(each: Tried) -> Markup:
    said = {True: "holds", False: "fails", None: ""}[each.holds]
    cells = (
        _share(each.promoted, each, "PROMOTE"),
        _share(each.rejected, each, "REJECT"),
        f"{each.held:.3f}",
        "" if each.limit is None else f"{each.limit:g} + {each.tolerance:.3f}",
        f"{each.naive:.3f}",
        n.count(round(each.decisions)),
        "" if each.looks is None else str(each.looks),
        tag("span", said, class_={"holds": "ok", "fails": "no", "": None}[said]),
    )
    return tag("tr", tag("th", each.truth), *(tag("td", cell, class_="n") for cell in cells))


def _share(share: float, each: Tried, state: str) -> Markup | str:
    words = f"{share:.3f}"
    if each.wrong_is == state:
        return tag("span", f"{words} wrong", class_="nb")
    return tag("b", f"{words} right", class_="nb") if each.right_is == state else words


class _Curve(NamedTuple):
    class_: str
    label: str
    shares: tuple[float, ...]


def _figure(key: str, each: Tried, title: str, found: Certificate) -> Markup:
    curves = (
        _Curve("lcp", "naive z", each.naive_by_look),
        _Curve("lch", "the policy", each.by_look),
    )
    drawn = [_plot(f"{key}-{width}", width, title, curves, each.limit) for width in (WIDE, NARROW)]
    last = f"After {found.looks} looks the policy has promoted {each.promoted:.3f} of runs, "
    last += f"the naive z {each.naive:.3f}."
    return tag("figure", tag("h3", title), *drawn, tag("figcaption", last))


def _plot(key: str, width: int, title: str, curves: tuple[_Curve, ...], limit: float | None) -> Markup:
    looks = len(curves[0].shares)
    drawing = Drawing(width, _BOTTOM + 30)
    across = (_LEFT, width - 90.0)
    x = Linear(0.0, float(looks), *across)
    most = max(0.1, *(share for curve in curves for share in curve.shares))
    y = Linear(0.0, most, _BOTTOM, _TOP)
    for tick in y.ticks(4):
        drawing.across("gr", y(tick), across)
        drawing.text("t", _LEFT - 7, y(tick) + 4, f"{tick:.2f}", "end")
    drawing.across("zero", y(0.0), across)
    for tick in x.ticks(5 if width == WIDE else 3):
        drawing.text("t", x(tick), _BOTTOM + 17, n.count(round(tick)), "middle")
    drawing.text("s", across[1], _BOTTOM + 29, "look", "end")
    if limit is not None:
        drawing.across("mar", y(limit), across)
        drawing.text("s", _LEFT + 4, y(limit) - 4, f"alpha {limit:g}")
    ends = [y(curve.shares[-1]) for curve in curves]
    apart = 0.0 if abs(ends[0] - ends[1]) > 14 else 14.0  # labels that would lie on each other  # noqa: PLR2004
    for place, curve in enumerate(curves):
        points = [(x(0.0), y(0.0))]
        points += [(x(look), y(share)) for look, share in enumerate(curve.shares, 1)]
        drawing.path(curve.class_, points)
        label = {"lcp": "cp", "lch": "ch"}[curve.class_]
        drawing.text(label, across[1] + 6, ends[place] + 4 + (apart if place == 0 else 0.0), curve.label)
    said = "; ".join(f"{curve.label}: {curve.shares[-1]:.3f} at the last look" for curve in curves)
    return drawing.render(key, title=title, description=said, view="wide" if width == WIDE else "narrow")
