"""Decisions of both models against each other: a table, and how often each cell was positive in fact."""

from harness.report import numbers as n
from harness.report.figures import FlipCell, Flips
from harness.report.markup import Markup, join, tag
from harness.report.scales import Linear
from harness.report.svg import Drawing

_MOST = 4
_LISTED = 10
_WIDTH = 434


def flip_table(flips: Flips, *, champion: str, challenger: str) -> Markup:
    """Return the matrix, or the largest flips as a list when there are more than four decisions."""
    if len(flips.decisions) > _MOST:
        return _largest(flips, champion, challenger)
    names = [decision.replace("_", " ") for decision in flips.decisions]
    head = [tag("th")]
    for index, word in enumerate(names):
        lead = tag("b", challenger, class_="nb") if index == 0 else ""
        head.append(tag("th", lead, tag("br"), f"says {word}", scope="col"))
    head.append(tag("th", tag("br"), "all", scope="col", class_="hide all"))
    body = [_row(flips, index, names[index], champion) for index in range(len(names))]
    sums = [n.count(sum(row[j].scored for row in flips.cells)) for j in range(len(names))]
    foot = tag(
        "tr",
        tag("th", "all", scope="row"),
        *(tag("td", value, class_="tot") for value in [*sums, n.count(flips.scored)]),
        class_="hide",
    )
    return tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body, foot), class_="flip")


def _row(flips: Flips, index: int, word: str, champion: str) -> Markup:
    lead = join([tag("b", champion, class_="nb"), tag("br")]) if index == 0 else None
    cells = [_cell(cell, flips, flipped=index != column) for column, cell in enumerate(flips.cells[index])]
    total = n.count(sum(cell.scored for cell in flips.cells[index]))
    return tag(
        "tr", tag("th", lead, f"says {word}", scope="row"), *cells, tag("td", total, class_="tot hide")
    )


def _cell(cell: FlipCell, flips: Flips, *, flipped: bool) -> Markup:
    share = cell.scored / flips.scored if flips.scored else 0.0
    positive = cell.share_positive
    known = "no outcome known" if positive is None else f"{n.percent(positive)} were {flips.positive}"
    return tag(
        "td",
        tag("span", n.count(cell.scored), class_="c"),
        tag("span", f"{n.percent(share)} of scored", class_="sm"),
        tag("span", known, class_="sm"),
        class_="df" if flipped else None,
    )


def _largest(flips: Flips, champion: str, challenger: str) -> Markup:
    found = [
        (cell.scored, flips.decisions[i], flips.decisions[j])
        for i, row in enumerate(flips.cells)
        for j, cell in enumerate(row)
        if i != j and cell.scored
    ]
    found.sort(key=lambda flip: (-flip[0], flip[1], flip[2]))
    rows = [
        tag("tr", tag("th", first, scope="row"), tag("td", second), tag("td", n.count(size), class_="n"))
        for size, first, second in found[:_LISTED]
    ]
    head = tag(
        "tr",
        tag("th", f"{champion} says", scope="col"),
        tag("th", f"{challenger} says", scope="col"),
        tag("th", "Decisions", scope="col", class_="n"),
    )
    return tag("table", tag("thead", head), tag("tbody", *rows), class_="kv")


def named_cells(flips: Flips, *, champion: str, challenger: str) -> list[tuple[str, FlipCell, bool]]:
    """Return (label, cell, flipped) of a 2 x 2 matrix, agreed negative first, agreed positive last."""
    if len(flips.decisions) != 2 or flips.positive_decision is None:  # noqa: PLR2004 -- a 2 x 2 matrix
        return []
    up = flips.decisions.index(flips.positive_decision)
    down = 1 - up
    said, unsaid = (flips.decisions[place].replace("_", " ") for place in (up, down))
    return [
        (f"both {unsaid}", flips.cells[down][down], False),
        (f"only {champion} says {said}", flips.cells[up][down], True),
        (f"only {challenger} says {said}", flips.cells[down][up], True),
        (f"both {said}", flips.cells[up][up], False),
    ]


def flip_chart(flips: Flips, *, champion: str, challenger: str) -> Markup | None:
    """Return a row of dots: the positive share in each cell against the threshold; None unless 2 x 2."""
    rows = named_cells(flips, champion=champion, challenger=challenger)
    shares = [cell.share_positive for _, cell, _ in rows]
    known = [share for share in shares if share is not None]
    if not known:
        return None
    left = max(n.width(label, 12) for label, _, _ in rows) + 10
    drawing = Drawing(_WIDTH, 152)
    most = min(1.0, _fifth(max([*known, flips.threshold or 0.0]) * 1.05))
    x = Linear(0, most, left, _WIDTH - 18)
    _scale(drawing, x, flips.threshold)
    for index, ((label, _, flipped), share) in enumerate(zip(rows, shares, strict=True)):
        y = 36 + 21 * index
        drawing.text("k" if flipped else "t", 0, y + 4, label)
        if share is None:
            drawing.text("s halo", left, y + 4, "no outcome known")
            continue
        drawing.dot("pt" if flipped else "barn", x(share), y, 4)
        near = flips.threshold is not None and 0 < x(flips.threshold) - x(share) < 62  # noqa: PLR2004 -- label width
        back = near or x(share) + 52 > _WIDTH
        drawing.text(
            "k halo" if flipped else "t halo",
            x(share) + (-9 if back else 9),
            y + 4,
            n.percent(share),
            "end" if back else None,
        )
    drawing.text("s", left, 148, f"share of decisions {flips.positive} in fact")
    values = "; ".join(
        f"{label}: {'no outcome known' if share is None else n.percent(share)}"
        for (label, _, _), share in zip(rows, shares, strict=True)
    )
    return drawing.render(
        "flips", title=f"Share {flips.positive} in each cell of the matrix", description=values
    )


def _fifth(share: float) -> float:
    """Return the next fifth at or above a share, or a tenth of that for small ones."""
    size = 0.2 if share > 0.1 else 0.02  # noqa: PLR2004 -- small shares need a finer axis
    return max(size, -(-share // size) * size)


def _scale(drawing: Drawing, x: Linear, threshold: float | None) -> None:
    for tick in x.ticks(4):
        drawing.down("gr", x(tick), (22, 112))
        drawing.text("t", x(tick), 129, n.percent_tight(tick), "middle")
    drawing.across("ax", 112, (x.start, x.stop))
    if threshold is not None and threshold <= x.high:
        drawing.down("mar", x(threshold), (22, 112))
        drawing.text("k", x(threshold), 14, f"threshold {n.percent_tight(threshold)}", "middle")
