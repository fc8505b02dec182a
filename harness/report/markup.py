"""A tiny builder of HTML and SVG: all but `Markup` is escaped; what the report forbids cannot be built."""

from html import escape

_VOID = frozenset({"meta", "br"})
_FORBIDDEN = ("style", "src", "srcset", "xlink_href", "action", "formaction")


class Markup(str):
    """Text that is safe to place in the page as it is."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Return a value as escaped text; `Markup` passes unchanged.

    >>> text("a < b"), text(Markup("<b>x</b>"))
    ('a &lt; b', '<b>x</b>')
    """
    if isinstance(value, Markup):
        return value
    return Markup(escape(str(value), quote=False))


def join(parts: "list[Markup] | tuple[Markup, ...]", separator: str = "") -> Markup:
    """Return parts one after another; the separator is escaped."""
    return Markup(text(separator).join(parts))


def px(value: float) -> str:
    """Return a coordinate with one decimal, and none when it is whole.

    >>> px(12.0), px(12.04), px(-0.04), px(7.26)
    ('12', '12', '0', '7.3')
    """
    written = f"{value:.1f}".removesuffix(".0")
    return "0" if written == "-0" else written


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """Return an element.

    A trailing underscore of an attribute is dropped, others become hyphens (`class_`, `text_anchor`); floats
    are coordinates; None leaves the attribute or the child out. Children that are not `Markup` are escaped.
    Style, script, source and link attributes that could ask for something are refused by assertion.

    >>> tag("b", "R & D", class_="k", title=None)
    '<b class="k">R &amp; D</b>'
    """
    assert name != "script", "the report has no script"
    written = []
    for key, value in attributes.items():
        if value is None:
            continue
        assert key not in _FORBIDDEN and not key.startswith("on"), f"the report has no {key} attribute"  # noqa: PT018
        spelled = px(value) if isinstance(value, float) else escape(str(value), quote=True)
        assert key != "href" or spelled.startswith("#"), "the report links only into itself"
        written.append(f' {_spell(key)}="{spelled}"')
    opened = f"<{name}{''.join(written)}"
    if name in _VOID:
        return Markup(opened + ">")
    inner = "".join(text(child) for child in children if child is not None)
    return Markup(f"{opened}>{inner}</{name}>")


def _spell(key: str) -> str:
    """Return the attribute's name: SVG's camel case as it is, Python's underscores as hyphens."""
    return key.removesuffix("_").replace("_", "-")
