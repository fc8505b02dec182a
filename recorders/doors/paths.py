"""Paths: where in a document a value lies, such as `input.age`, `input[2]` or `body["sepal length"]`."""

import re
from collections.abc import Callable
from typing import Any, Final

from recorders.doors.errors import MappingError

ABSENT: Final = object()
Find = Callable[[Any], Any]
_STEP: Final = re.compile(r'(?:^|\.)([^.\[\]"]+)|(?:^|\.)"([^"]+)"|\[(-?\d{1,6})\]|\["([^"]+)"\]')


def compile_path(text: str) -> Find:
    """Return the function that finds the value at a path, or ABSENT where the document ends before it.

    Names are separated by dots, places in lists stand in brackets (negative ones count from the end), and
    names that hold dots, brackets or nothing but digits stand in double quotes.

    Raises:
        MappingError: no path.

    >>> compile_path('rows[0]."a.b"')({"rows": [{"a.b": None}]}) is None
    True
    >>> compile_path("rows[1]")({"rows": [1]}) is ABSENT
    True
    """
    steps = steps_of(text)
    if len(steps) == 1:
        return _one(steps[0])
    if len(steps) == 2 and isinstance(steps[0], str):  # noqa: PLR2004  # nearly all of them: input[0], event.id
        return _inside(steps[0], steps[1]) if isinstance(steps[1], str) else _placed(steps[0], steps[1])

    def find(document: Any) -> Any:
        for step in steps:
            if type(document) is dict:
                document = document.get(step, ABSENT)
            elif isinstance(document, list | tuple) and type(step) is int:
                document = document[step] if -len(document) <= step < len(document) else ABSENT
            else:
                return ABSENT
        return document

    return find


def quoted(name: str) -> str:
    """Return a name as a step of a path, in quotes where it needs them.

    >>> quoted("age"), quoted("sepal.length")
    ('age', '"sepal.length"')
    """
    return name if re.fullmatch(r'[^.\[\]"]+', name) else f'"{name}"'


def steps_of(text: str) -> tuple[str | int, ...]:
    """Return the names and places of a path.

    Raises:
        MappingError: no path.
    """
    steps: list[str | int] = []
    place = 0
    while place < len(text):
        found = _STEP.match(text, place)
        if found is None:
            break
        name, quote, index, bracketed = found.groups()
        steps.append(int(index) if index is not None else name or quote or bracketed)
        place = found.end()
    if not steps or place != len(text):
        raise MappingError(
            f"{text!r} is no path.",
            'Expected names and places, such as input.age, input[2] or body["sepal length"].',
            "Put odd names in double quotes.",
        )
    return tuple(steps)


def _inside(first: str, second: str) -> Find:
    def find(document: Any) -> Any:
        found = document.get(first, ABSENT) if type(document) is dict else ABSENT
        return found.get(second, ABSENT) if type(found) is dict else ABSENT

    return find


def _placed(first: str, place: int) -> Find:
    def find(document: Any) -> Any:
        found = document.get(first, ABSENT) if type(document) is dict else ABSENT
        # A list as JSON makes it is nearly always what stands here; looking for a tuple costs as much again.
        if type(found) is list or isinstance(found, list | tuple):
            return found[place] if -len(found) <= place < len(found) else ABSENT
        return found.get(place, ABSENT) if type(found) is dict else ABSENT

    return find


def _one(step: str | int) -> Find:
    def find(document: Any) -> Any:
        return document.get(step, ABSENT) if type(document) is dict else ABSENT

    if isinstance(step, str):
        return find

    def at(document: Any) -> Any:
        inside = isinstance(document, list | tuple) and -len(document) <= step < len(document)
        return document[step] if inside else ABSENT

    return at
