"""The contrast of every token, computed from the style sheet, in light, dark and print."""

import re

import pytest

from harness.report.page import style

TEXT, MARK = 4.5, 3.0
TEXTS = (
    "ink",
    "ink-2",
    "ink-3",
    "challenger",
    "champion",
    "promote",
    "hold",
    "reject",
    "retrain",
    "invalid",
    "blind",
)
MARKS = ("challenger", "champion", "ink-3", "promote", "hold", "reject", "retrain", "invalid", "blind")


def tokens() -> dict[str, dict[str, str]]:
    """The colours of each scheme: those of print and dark replace the light ones."""
    blocks = re.findall(r":root \{(.*?)\}", style())
    assert len(blocks) == 3
    found = [dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", block)) for block in blocks]
    return {"light": found[0], "dark": found[0] | found[1], "print": found[0] | found[2]}


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2: 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
@pytest.mark.parametrize("ground", ["paper", "tint"])
def test_texts_can_be_read(scheme: str, ground: str) -> None:
    colours = tokens()[scheme]
    low = {name: contrast(colours[name], colours[ground]) for name in TEXTS}
    assert min(low.values()) >= TEXT, low


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_marks_can_be_seen(scheme: str) -> None:
    colours = tokens()[scheme]
    low = {name: contrast(colours[name], colours["paper"]) for name in MARKS}
    assert min(low.values()) >= MARK, low


def test_the_measure_itself() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_colours_stand_in_tokens_alone() -> None:
    rules = re.sub(r":root \{.*?\}", "", style())
    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b", rules)


def test_no_text_is_below_ten_and_a_half_px() -> None:
    sizes = [float(size) for size in re.findall(r"(?:font-size: |font: (?:\d+ )?)(\d+(?:\.\d+)?)px", style())]
    assert len(sizes) > 20
    assert min(sizes) >= 10.5
