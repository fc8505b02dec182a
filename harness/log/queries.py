"""The named statements of `queries.sql`."""

from functools import cache
from pathlib import Path
from typing import LiteralString, cast

MARK = "-- name: "


@cache
def _statements() -> dict[str, str]:
    text = Path(__file__).with_name("queries.sql").read_text(encoding="utf-8")
    parts = (part.partition("\n") for part in text.split(MARK)[1:])
    return {name.strip(): body.strip() for name, _, body in parts}


def query(name: str) -> LiteralString:
    """Return the statement of that name, with its sentence of purpose as a comment.

    The text is ours and constant, never built from input: that is what LiteralString promises to psycopg.

    >>> query("head").splitlines()[0]
    '-- The end of the log and what it is, in one snapshot.'
    """
    return cast("LiteralString", _statements()[name])
