"""The report: one HTML file that asks for nothing.

Same data, same bytes: no clock, no random id. The policy in its head allows one style, named by its hash, and
nothing else, so the file itself proves that it makes no request (docs/adr/0010).
"""

from base64 import b64encode
from dataclasses import replace
from functools import cache
from hashlib import sha256
from importlib import resources

from harness.report.data import ReportData
from harness.report.figures import NoiseFloor, ScoreDifference
from harness.report.findings import Invalid, NoLook
from harness.report.marks import WORDS
from harness.report.markup import Markup, join, tag
from harness.report.sections.beside import beside
from harness.report.sections.counted import counted
from harness.report.sections.differ import differ, difference_figure
from harness.report.sections.evidence import evidence
from harness.report.sections.frame import section
from harness.report.sections.gates import gates
from harness.report.sections.happened import happened, ranges_figure
from harness.report.sections.inputs import inputs
from harness.report.sections.reproduce import limits, reproduce
from harness.report.sections.serving import serving
from harness.report.sections.slices import slices
from harness.report.sections.verdict import header, verdict

LIMIT_BYTES = 1_000_000
_FOOTER = (
    "Written by the harness from the log alone. One file, no script, no external request. "
    "Times are UTC; ranges in commands and digests are half-open, [from, to)."
)


@cache
def style() -> str:
    """Return the style sheet, packaged beside this module, without comments and spare space."""
    source = resources.files("harness.report").joinpath("style.css").read_text(encoding="utf-8")
    while (start := source.find("/*")) >= 0:
        source = source[:start] + source[source.index("*/", start) + 2 :]
    return " ".join(source.split())


def render(data: ReportData) -> str:
    """Return the page as text; it is written as UTF-8 and stays below 1 MB."""
    state = WORDS[data.verdict.state]
    title = f"{state} · {data.challenger.name} over {data.champion.name} · {data.decision_point}"
    parts = tag("div", header(data), tag("main", *_sections(data)), tag("footer", _FOOTER), class_="page")
    return document(title, parts, skip="Skip to the verdict")


def document(title: str, body: Markup, *, skip: str) -> str:
    """Return a page around `body`; `skip` leads a reader who hears it to the element named "verdict"."""
    css = style()
    policy = f"default-src 'none'; style-src 'sha256-{style_hash(css)}'; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width,initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(css)),
    )
    whole = tag("body", tag("a", skip, class_="skip", href="#verdict"), body)
    page = f"<!doctype html>\n{tag('html', head, whole, lang='en')}\n"
    assert len(page.encode()) <= LIMIT_BYTES, "a report beyond 1 MB has lost its limits on rows and marks"
    return page


def style_hash(css: str) -> str:
    """Return the base64 SHA-256 that the content security policy names."""
    return b64encode(sha256(css.encode()).digest()).decode()


def _sections(data: ReportData) -> list[Markup]:
    """Return the sections of the state: INVALID shows no metric, and a page without a look no comparison."""
    finding = data.verdict.finding
    if isinstance(finding, Invalid):
        return [verdict(data), *_defect(data, finding), reproduce(data), limits(data)]
    if isinstance(finding, NoLook):
        return [verdict(data), evidence(data), counted(data), happened(data), reproduce(data), limits(data)]
    return [
        verdict(data),
        evidence(data),
        gates(data),
        beside(data),
        differ(data),
        slices(data),
        serving(data),
        inputs(data),
        counted(data),
        happened(data),
        reproduce(data),
        limits(data),
    ]


def _defect(data: ReportData, finding: Invalid) -> list[Markup]:
    """Return the figure that proves the defect, and what happened."""
    if finding.overlap is not None:
        rail = (
            join(
                [
                    tag("code", f"harness model show {data.challenger.name}"),
                    Markup(" prints the declared range."),
                ]
            ),
        )
        return [
            section("ranges", "Ranges of the log", ranges_figure(data), rail=rail),
            happened(data, with_ranges=False),
        ]
    checks = tuple(gate for gate in data.gates if gate.group == "data")
    found: list[Markup] = []
    if isinstance(data.differences, ScoreDifference) and _differs(data.differences):
        found.append(section("floor", "Noise floor", difference_figure(data)))
    if checks:
        found.append(gates(replace(data, gates=checks)))
    return [*found, happened(data)]


def _differs(difference: ScoreDifference) -> bool:
    return isinstance(difference.noise, NoiseFloor) and difference.noise.differing > 0
