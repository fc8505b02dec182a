"""Beside the gates: figures that were registered to be read, with what each may say."""

from harness.beside import unread
from harness.report.data import ReportData
from harness.report.figure import absent, caption
from harness.report.markup import Markup, tag
from harness.report.sections.frame import section

_TITLE = "Beside the gates"
_MINUS = "\u2212"


def beside(data: ReportData) -> Markup:
    """Return the section: metrics of context, off-policy points, adjusted differences, planned tests."""
    if not data.asides:
        words = "Nothing is registered to be read beside the gates."
        if data.last is None:
            words = "What is registered to be read beside the gates comes with the first look."
        return section("beside", _TITLE, absent(words))
    rows = [
        tag(
            "tr",
            tag("th", each.name, scope="row"),
            tag("td", _typeset(each.figure)),
            tag(
                "td",
                tag("b", each.validity.replace("_", " ")),
                ", provided that ",
                each.assumption,
                class_="q",
            ),
        )
        for each in data.asides
    ]
    table = tag("table", tag("tbody", *rows), class_="kv beside")
    shown = tag("figure", table, caption(_finding(data), f"nothing: {unread(data.asides)}."))
    rail = ("Each figure with its validity and what that rests on.",)
    return section("beside", _TITLE, shown, rail=rail)


def _finding(data: ReportData) -> str:
    exact = sum(each.validity == "exact" for each in data.asides)
    return (
        f"{len(data.asides)} figures were registered to be read beside the gates; {exact} of them are exact "
        "at what they rest on. Planned tests promote too often at any other look."
    )


def _typeset(figure: str) -> str:
    """Return the figure with minus signs in place of hyphens before digits."""
    return "".join(
        _MINUS if sign == "-" and after.isdigit() and not before.isalnum() else sign
        for before, sign, after in zip(" " + figure, figure, figure[1:] + " ", strict=False)
    )
