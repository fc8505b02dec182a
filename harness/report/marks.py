"""The shape of each state: never colour alone, and always beside its word."""

from typing import Literal

from harness.report.findings import State
from harness.report.markup import Markup, tag

_UP = tag("path", d="M12 3.5 21.5 20.5H2.5Z")
_DOWN = tag("path", d="M12 20.5 2.5 3.5H21.5Z")
_BARS = tag("path", d="M4.5 4h5.5v16H4.5ZM14 4h5.5v16H14Z")

_SHAPES: dict[str, tuple[Markup, ...]] = {
    "PROMOTE": (_UP,),
    "HOLD": (_BARS,),
    "REJECT": (_DOWN,),
    "RETRAIN": (
        tag("path", class_="arc", d="M19.6 14.8A8.2 8.2 0 1 1 18.4 6.9"),
        tag("path", d="M21.6 2.6v7.6h-7.6Z"),
    ),
    "INVALID": (
        tag("path", d="M7.6 1.5h8.8L22.5 7.6v8.8L16.4 22.5H7.6L1.5 16.4V7.6Z"),
        tag("path", class_="cut", d="M8.2 8.2l7.6 7.6M15.8 8.2l-7.6 7.6"),
    ),
    "NOT_IDENTIFIABLE": (
        tag("circle", class_="broken", cx=12, cy=12, r=9),
        tag("circle", cx=12, cy=12, r="2.7"),
    ),
    "NONE": (tag("circle", class_="open", cx=12, cy=12, r=9),),
}
_GATES = {"passes": _UP, "fails": _DOWN, "waits": _BARS}

WORDS: dict[str, str] = {
    "PROMOTE": "PROMOTE",
    "HOLD": "HOLD",
    "REJECT": "REJECT",
    "RETRAIN": "RETRAIN",
    "INVALID": "INVALID",
    "NOT_IDENTIFIABLE": "NOT IDENTIFIABLE",
    "NONE": "NO LOOK YET",
}


def mark(state: State, size: int, *, at: tuple[float, float] | None = None) -> Markup:
    """Return the mark of a verdict; `at` is its upper left corner inside a drawing."""
    x, y = at if at is not None else (None, None)
    return _svg(_SHAPES[state], size, x, y)


def gate_mark(state: Literal["passes", "fails", "waits"], size: int = 11) -> Markup:
    """Return the mark of a gate's state."""
    return _svg((_GATES[state],), size, None, None)


def _svg(shapes: tuple[Markup, ...], size: int, x: float | None, y: float | None) -> Markup:
    return tag(
        "svg",
        *shapes,
        class_="mark",
        viewBox="0 0 24 24",
        width=size,
        height=size,
        x=x,
        y=y,
        aria_hidden="true",
    )
