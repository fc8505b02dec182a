"""Named statements: each `.sql` file holds some, each with its name and a sentence of purpose."""

from functools import cache
from pathlib import Path

MARK = "-- name: "
_QUERIES = Path(__file__).with_name("queries.sql")


@cache
def statements(path: Path) -> dict[str, str]:
    """Return the statements of a file by name, each with its sentence of purpose as a comment."""
    parts = (part.partition("\n") for part in path.read_text(encoding="utf-8").split(MARK)[1:])
    return {name.strip(): body.strip() for name, _, body in parts}


def query(name: str) -> str:
    """Return the statement of that name in `queries.sql`.

    >>> query("head").splitlines()[0]
    '-- The end of the log and what it is, in one snapshot.'
    """
    return statements(_QUERIES)[name]
