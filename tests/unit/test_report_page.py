"""The page of every state: its bytes, its form, what it must not hold, and what never vanishes."""

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness.report.data import ReportData
from harness.report.figures import Serving
from harness.report.page import render
from tests.support.report_states import STATES

GOLDEN = Path(__file__).parents[1] / "golden"
AIM_BYTES = 200_000
MARKS_MAX = 2_000
PLOTS_MAX = 12
FULL = (
    "Evidence by look",
    "Gates",
    "Beside the gates",
    "Where they differ",
    "Slices",
    "Cost of serving",
    "Inputs",
    "What was counted",
    "What happened",
    "Reproduce it",
    "What this cannot tell",
)
VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Every element with its attributes, and the texts inside; unclosed elements are an error."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} is closed out of order"

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts[tag][-1] += data


@pytest.fixture(scope="module", params=list(STATES))
def state(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def data(state: str) -> ReportData:
    return STATES[state]()


@pytest.fixture(scope="module")
def page(data: ReportData) -> str:
    return render(data)


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_the_same_data_give_the_same_bytes(state: str, page: str) -> None:
    assert render(STATES[state]()) == page
    golden = (GOLDEN / f"report_{state}.html").read_text(encoding="utf-8")
    assert page == golden, "read the change, then: python -m tests.support.report_states"


def test_it_is_small(page: str) -> None:
    assert len(page.encode()) < AIM_BYTES


def test_every_drawing_is_xml_with_a_name_and_a_description(page: str) -> None:
    drawings = re.findall(
        r"<svg class=\"plot.*?</svg>(?=<svg class=\"plot|<figcaption|</figure>|</div>)", page, re.DOTALL
    )
    assert drawings or "INVALID" in page
    for drawing in drawings:
        root = ET.fromstring(drawing)
        title, desc = root.find("title"), root.find("desc")
        assert title is not None
        assert title.text
        assert desc is not None
        assert desc.text
        assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
        assert root.get("role") == "img"
        assert len(list(root.iter())) < MARKS_MAX
    for strip in re.findall(r"<svg (?!class=\"plot).*?</svg>", page, re.DOTALL):
        if "<svg" not in strip[4:]:
            assert ET.fromstring(strip).get("aria-hidden") == "true"


def test_at_most_twelve_plots_in_either_width(read: Reader) -> None:
    plots = [attrs.get("class") or "" for tag, attrs in read.elements if tag == "svg"]
    shown = [name for name in plots if name.startswith("plot")]
    assert sum("narrow" not in name for name in shown) <= PLOTS_MAX


def test_it_cannot_ask_for_anything(page: str, read: Reader) -> None:
    tags = {tag for tag, _ in read.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "image", "use"}
    assert "url(" not in page
    assert "@import" not in page
    for tag, attrs in read.elements:
        for name, value in attrs.items():
            assert name != "style", tag
            assert not name.startswith("on"), (tag, name)
            assert "http" not in (value or ""), (tag, name, value)
            assert name not in {"src", "srcset", "action"}, (tag, name)
            assert name != "href" or (value or "").startswith("#"), value


def test_the_policy_names_the_style_and_nothing_else(page: str, read: Reader) -> None:
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = b64encode(sha256(style.group(1).encode()).digest()).decode()
    policies = [a["content"] for tag, a in read.elements if a.get("http-equiv") == "Content-Security-Policy"]
    expected = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert policies == [expected]


def test_headings_and_landmarks(state: str, read: Reader) -> None:
    assert len(read.texts["h1"]) == 1
    assert len(read.texts["main"]) == 1
    assert ("html", {"lang": "en"}) in read.elements
    headings = read.texts["h2"]
    if state.startswith("invalid"):
        assert headings[-3:] == list(FULL[-3:])
        assert not set(headings) & {"Evidence by look", "Slices", "Where they differ"}
    elif state == "no-look":
        assert headings == [FULL[0], *FULL[-4:]]
    elif state == "not-identifiable":
        assert headings == ["What the log allows", *FULL[1:]]
    else:
        assert headings == list(FULL)


def test_ids_are_unique_and_every_reference_has_one(read: Reader) -> None:
    ids = [attrs["id"] for _, attrs in read.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in read.elements:
        for name in (attrs.get("aria-labelledby") or "").split():
            assert name in ids
        if "href" in attrs:
            assert (attrs["href"] or "").removeprefix("#") in ids


def test_every_figure_says_what_would_change_the_verdict(read: Reader) -> None:
    for caption in read.texts.get("figcaption", []):
        assert "What would change the verdict:" in caption
    assert sum(tag == "figure" for tag, _ in read.elements) == len(read.texts.get("figcaption", []))


def test_every_table_cell_has_a_head_with_a_scope(read: Reader) -> None:
    for tag, attrs in read.elements:
        if tag == "th" and attrs:
            assert attrs.get("scope") in {"col", "row", "rowgroup"}, attrs


def test_the_state_is_said_in_words(data: ReportData, read: Reader) -> None:
    word = {"NOT_IDENTIFIABLE": "NOT IDENTIFIABLE", "NONE": "NO LOOK YET"}.get(
        data.verdict.state, data.verdict.state
    )
    assert word in read.texts["main"][0]
    assert read.texts["title"][0].startswith(word)


def test_invalid_shows_no_metric(state: str, page: str) -> None:
    if state.startswith("invalid"):
        body = page[page.index("<main>") :]
        for figure in ("−0.00", "+0.00", "Brier", "e-value"):
            assert figure not in body, figure


def test_words_that_promise_too_much_are_absent(read: Reader) -> None:
    words = re.findall(r"[a-z]+", read.texts["main"][0].lower())
    assert not {"significant", "significance", "winner", "treatment", "dropped"} & set(words)


def test_coverage_that_does_not_add_up_is_a_fault_of_the_programme() -> None:
    from dataclasses import replace

    from harness.report.figures import Stage

    broken = (Stage("Eligible", 10), Stage("Used", 8, (("missing", 1),)))
    with pytest.raises(AssertionError, match="10 decisions became 8 and 1"):
        render(replace(STATES["promote"](), coverage=broken))


def test_what_a_user_named_is_escaped() -> None:
    from dataclasses import replace

    made = render(
        replace(STATES["promote"](), question='<script>alert("1")</script> & more', experiment="a<b")
    )
    assert "<script" not in made
    assert "&lt;script&gt;" in made
    assert "a&lt;b" in made


def test_times_of_a_few_rows_are_not_told_as_those_of_all() -> None:
    data = STATES["promote"]()
    assert isinstance(data.serving, Serving)
    assert "asked alone" not in render(data)
    few = replace(data, serving=replace(data.serving, alone=4))
    assert "4 times of the challenger, each of one row asked alone." in render(few)
