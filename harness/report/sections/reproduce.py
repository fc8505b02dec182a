"""How to check it, and what it cannot tell: always printed, never folded."""

from harness.report.data import ReportData
from harness.report.markup import Markup, join, tag, text
from harness.report.sections.frame import section


def reproduce(data: ReportData) -> Markup:
    """Return the commands with full digests, to be copied from."""
    lines: list[Markup] = []
    for index, command in enumerate(data.provenance.commands):
        lead = "\n" if index else ""
        lines += [text(lead), tag("span", f"# {command.why}", class_="c"), text(f"\n{command.line}")]
    entries: list[Markup] = []
    for name, words, digest in data.provenance.digests:
        shown = tag("code", digest) if digest else None
        gap = " " if words and digest else None
        entries += [tag("dt", name), tag("dd", words, gap, shown)]
    return section(
        "reproduce",
        "Reproduce it",
        tag("pre", join(lines)),
        tag("dl", *entries, class_="dig"),
        rail=("Same log, same bytes: these commands recompute the verdict and compare digests.",),
    )


def limits(data: ReportData) -> Markup:
    """Return what a paired prediction study cannot say."""
    items = [tag("li", words) for words in data.limits]
    return section("limits", "What this cannot tell", tag("ul", *items, class_="lim"))
