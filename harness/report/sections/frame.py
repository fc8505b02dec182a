"""The frame of a section: heading and how to read it in the rail, figures in the body."""

from harness.report.markup import Markup, tag


def section(key: str, title: str, *body: Markup | None, rail: tuple[object, ...] = ()) -> Markup:
    """Return a section; `rail` holds the short paragraphs under its heading."""
    notes = [tag("p", note) for note in rail if note]
    return tag(
        "section",
        tag("div", tag("h2", title, id=f"{key}-h"), *notes, class_="rail"),
        tag("div", *body, class_="body"),
        class_="row",
        id=key,
        aria_labelledby=f"{key}-h",
    )
