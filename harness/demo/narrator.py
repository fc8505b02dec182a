"""Who is told what the demo is doing: chapters with a title, and how far each is."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Advance = Callable[[int], None]
Narrate = Callable[[str, int], AbstractContextManager[Advance]]


@contextmanager
def silent(_title: str, _total: int) -> Iterator[Advance]:
    """Tell nobody."""
    yield _nothing


def _nothing(_done: int) -> None:
    """Nobody watches."""
