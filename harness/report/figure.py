"""One figure: heading, drawing, caption with what would change the verdict, and its figures as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.markup import Markup, tag

NOTHING = "nothing by itself: agreement is context."


@dataclass(frozen=True, slots=True)
class Table:
    """The figures of a plot as text; the first cell of a row is its head."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def render(self) -> Markup:
        """Return a `details` element, closed until asked for."""
        head = tag("tr", *(tag("th", name, scope="col") for name in self.columns))
        rows = [
            tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:]))
            for row in self.rows
        ]
        table = tag("table", tag("caption", self.caption), tag("thead", head), tag("tbody", *rows))
        return tag("details", tag("summary", "Figures as a table"), table, class_="alt")


def heading(what: object, qualifier: object = "") -> Markup:
    """Return a figure's heading: what it shows, then a quieter qualifier."""
    quiet = tag("span", qualifier, class_="u") if qualifier else None
    return tag("h3", what, " " if quiet is not None else None, quiet)


def caption(finding: object, change: object) -> Markup:
    """Return the caption: the finding, then what would change the verdict on a line of its own."""
    line = tag("span", tag("b", "What would change the verdict:"), " ", change, class_="chg")
    return tag("figcaption", finding, " ", line)


def figure(
    *drawings: Markup,
    title: Markup | None = None,
    finding: object,
    change: object,
    table: Table | None = None,
) -> Markup:
    """Return the whole figure."""
    return tag(
        "figure",
        title,
        *drawings,
        caption(finding, change),
        table.render() if table is not None else None,
    )


def absent(sentence: str, *, title: Markup | None = None) -> Markup:
    """Return the sentence that stands where a figure has no data."""
    return tag("div", title, tag("p", sentence, class_="absent"), class_="empty")


def pair(*figures: Markup, spaced: bool = False) -> Markup:
    """Return two figures beside each other."""
    return tag("div", *figures, class_="two sp" if spaced else "two")
