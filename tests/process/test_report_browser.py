"""The report in a real browser: no request, no message, nothing cut off, nothing on top of anything else.

JavaScript stays off in the page (its policy allows none); what is measured here is asked over DevTools. The
font is the widest fallback, so that the layout holds with any.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.report.page import render, style, style_hash
from tests.support.devtools import Browser, chromium, find_chromium
from tests.support.report_states import STATES

WIDTHS = (1280, 390)
WIDEST = '"DejaVu Sans", sans-serif'
# Texts of one drawing that lie on each other, and texts beyond the page: measured boxes, in px.
TEXTS_THAT_MEET = """
(() => {
  const found = [];
  for (const plot of document.querySelectorAll('svg.plot')) {
    if (getComputedStyle(plot).display === 'none') continue;
    const boxes = [...plot.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
    for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
      const [a, p] = boxes[i], [b, q] = boxes[j];
      const across = Math.min(p.right, q.right) - Math.max(p.left, q.left);
      const down = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      if (across > 1.5 && down > 4.5) found.push([a, b, Math.round(across), Math.round(down)]);
    }
  }
  return found;
})()
"""
TEXTS_BEYOND = """
[...document.querySelectorAll('svg text, td, th, p, dd, h1, pre')]
  .filter(e => e.getClientRects().length && !e.closest('details'))
  .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
  .map(e => e.textContent.slice(0, 60))
"""
SHOWN_TWICE = """
['wide', 'narrow'].map(view => [...document.querySelectorAll('svg.' + view)]
  .filter(e => e.getClientRects().length).length)
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = find_chromium()
    if executable is None:
        assert not os.environ.get("CI"), (
            "continuous integration installs Chromium: the page must be seen there"
        )
        pytest.skip("no Chromium on this machine; install the package chromium to see the report drawn")
    with chromium(executable) as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each state as a file, with the widest fallback for its sans font and the policy's hash with it."""
    folder = tmp_path_factory.mktemp("report")
    css = style()
    wide = re.sub(r"--sans: [^;]*;", f"--sans: {WIDEST};", css)
    assert wide != css
    made = {}
    for state, make in STATES.items():
        made[state] = folder / f"{state}.html"
        page = render(make()).replace(css, wide).replace(style_hash(css), style_hash(wide))
        made[state].write_text(page, encoding="utf-8")
    return made


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("state", list(STATES))
def test_it_asks_for_nothing_and_nothing_lies_on_anything(
    browser: Browser, pages: dict[str, Path], state: str, width: int, *, dark: bool
) -> None:
    browser.open(pages[state], width=width, dark=dark)
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(21, 22, 24)" if dark else "rgb(255, 254, 251)"), "the style is not applied"
    assert browser.requests == [pages[state].as_uri()]
    assert browser.messages == []
    if not dark:
        check_layout(browser, width)


@pytest.mark.parametrize("width", [1159, 980, 768, 470, 360])
@pytest.mark.parametrize("state", ["promote", "many-looks", "not-identifiable"])
def test_every_layout_between_holds(browser: Browser, pages: dict[str, Path], state: str, width: int) -> None:
    browser.open(pages[state], width=width, dark=False)
    check_layout(browser, width)


def check_layout(browser: Browser, width: int) -> None:
    """Nothing is wider than the page, and no two labels of a drawing meet."""
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(TEXTS_BEYOND) == []
    assert browser.evaluate(TEXTS_THAT_MEET) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_wide_and_the_narrow_drawing_are_never_both_shown(
    browser: Browser, pages: dict[str, Path], width: int
) -> None:
    browser.open(pages["promote"], width=width, dark=False)
    wide, narrow = browser.evaluate(SHOWN_TWICE)
    assert (wide > 0) != (narrow > 0)


def test_the_opened_tables_scroll_inside_themselves_on_a_phone(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["promote"], width=390, dark=False)
    browser.evaluate("document.querySelectorAll('details').forEach(d => d.setAttribute('open', ''))")
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390


def test_it_prints_on_light_paper_with_the_verdict_and_the_first_plot_on_page_one(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["promote"], width=700, dark=True, media="print")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.evaluate("document.querySelector('details').getClientRects().length") == 0
    # A4 less 13 mm on each side is 1,024 px high at 96 dpi.
    assert browser.evaluate("document.querySelector('#looks figure').getBoundingClientRect().bottom") < 1024
    assert browser.pdf().startswith(b"%PDF-")


def test_a_page_that_asks_is_caught(browser: Browser, tmp_path: Path) -> None:
    """The planted fault: without it this test would prove nothing."""
    page = tmp_path / "asks.html"
    page.write_text(
        "<!doctype html><title>x</title><img src='https://example.org/x.png'><p style='width:2000px'>x"
    )
    browser.open(page, width=390, dark=False)
    assert len(browser.requests) == 2
    assert browser.messages
    assert browser.evaluate("document.documentElement.scrollWidth") > 390


def test_texts_on_each_other_are_caught(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "meet.html"
    page.write_text(
        "<!doctype html><title>x</title><svg class='plot' width='200' height='40'>"
        "<text x='5' y='20'>one label</text><text x='30' y='22'>another</text></svg>"
    )
    browser.open(page, width=390, dark=False)
    assert len(browser.evaluate(TEXTS_THAT_MEET)) == 1
