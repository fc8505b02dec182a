"""A drawing: shapes added one by one, then one `svg` element, named and described for readers who hear it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.report.markup import Markup, px, tag

Anchor = str | None


@dataclass(slots=True)
class Drawing:
    """The shapes of one drawing of a plot, in px of its own width and height."""

    width: float
    height: float
    shapes: list[Markup] = field(default_factory=list)

    def add(self, shape: Markup) -> None:
        """Place any element."""
        self.shapes.append(shape)

    def line(self, class_: str, x1: float, y1: float, x2: float, y2: float) -> None:
        """Place a straight line."""
        self.add(tag("line", class_=class_, x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2)))

    def across(self, class_: str, y: float, span: tuple[float, float]) -> None:
        """Place a horizontal line over a span of x."""
        self.line(class_, span[0], y, span[1], y)

    def down(self, class_: str, x: float, span: tuple[float, float]) -> None:
        """Place a vertical line over a span of y."""
        self.line(class_, x, span[0], x, span[1])

    def text(self, class_: str, x: float, y: float, words: object, anchor: Anchor = None) -> None:
        """Place a label with its baseline at y; `anchor` is "middle" or "end"."""
        self.add(tag("text", words, class_=class_, x=float(x), y=float(y), text_anchor=anchor))

    def upright(self, class_: str, x: float, y: float, words: object) -> None:
        """Place a label that reads upwards from (x, y)."""
        turn = f"rotate(-90 {px(x)} {px(y)})"
        self.add(tag("text", words, class_=class_, x=float(x), y=float(y), transform=turn))

    def dot(self, class_: str, x: float, y: float, radius: float) -> None:
        """Place a circle."""
        self.add(tag("circle", class_=class_, cx=float(x), cy=float(y), r=float(radius)))

    def box(self, class_: str, x: float, y: float, size: tuple[float, float]) -> None:
        """Place a rectangle of (width, height)."""
        self.add(
            tag("rect", class_=class_, x=float(x), y=float(y), width=float(size[0]), height=float(size[1]))
        )

    def path(self, class_: str, points: Iterable[tuple[float, float]], *, closed: bool = False) -> None:
        """Place a line through points."""
        steps = "L".join(f"{px(x)} {px(y)}" for x, y in points)
        self.add(tag("path", class_=class_, d=f"M{steps}{'Z' if closed else ''}"))

    def arrow(self, class_: str, x: float, y: float, toward: str) -> None:
        """Place the head that says: this goes on outside of the plot. `toward` is left, right, up or down."""
        heads = {"left": "l7 -4v8z", "right": "l-7 -4v8z", "up": "l-4 7h8z", "down": "l-4 -7h8z"}
        self.add(tag("path", class_=class_, d=f"M{px(x)} {px(y)}{heads[toward]}"))

    def render(self, key: str, *, title: str, description: str, view: str = "") -> Markup:
        """Return the element. `key` names it in the page; `view` is "wide", "narrow", or empty for both."""
        return tag(
            "svg",
            tag("title", title, id=f"{key}-t"),
            tag("desc", description, id=f"{key}-d"),
            *self.shapes,
            class_=f"plot {view}".rstrip(),
            viewBox=f"0 0 {px(self.width)} {px(self.height)}",
            width=float(self.width),
            height=float(self.height),
            role="img",
            aria_labelledby=f"{key}-t {key}-d",
        )
