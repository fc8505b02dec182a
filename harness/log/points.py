"""The decision points of a log: those that something was recorded at."""

from harness.errors import NotFound
from harness.log.log import Log


def check_point(log: Log, name: str | None) -> None:
    """Refuse a decision point that nothing was recorded at: an empty answer would look whole. None is all.

    Raises:
        NotFound: it is none; the nearest ones are named.
    """
    if name is None:
        return
    points = {point for _kind, point, *_ in log.rows("stats") if point}
    if name not in points:
        raise NotFound("decision point", name, points)
