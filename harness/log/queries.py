"""The named statements of `queries.sql`."""

from functools import cache
from pathlib import Path

MARK = "-- name: "


@cache
def _statements() -> dict[str, str]:
    text = Path(__file__).with_name("queries.sql").read_text(encoding="utf-8")
    parts = (part.partition("\n") for part in text.split(MARK)[1:])
    return {name.strip(): body.strip() for name, _, body in parts}


def query(name: str) -> str:
    """Return the statement of that name, with its sentence of purpose as a comment.

    >>> query("head").splitlines()[0]
    '-- The end of the log and what it is, in one snapshot.'
    """
    return _statements()[name]
