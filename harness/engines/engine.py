"""The one contract of all engines, and the engine that has no workers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


class Engine(Protocol):
    """Maps a function over parts, somewhere.

    `map` yields each index with its result once, in any order. The function may run more than once for a
    part, and on another machine: it, the parts and the results are pickled, and whatever else it does must
    be the same when it is done again. What it raises is raised to the caller.
    """

    def map(self, fn: Callable[[Part], Result], parts: Sequence[Part]) -> Iterator[tuple[int, Result]]:
        """Yield (index, result) of every part."""
        ...


class InProcess:
    """The engine without workers: one part after the other, here."""

    def map(self, fn: Callable[[Part], Result], parts: Sequence[Part]) -> Iterator[tuple[int, Result]]:
        """Yield (index, result) of every part, in order."""
        for index, part in enumerate(parts):
            yield index, fn(part)


def staying(engine: Engine) -> AbstractContextManager[Engine]:
    """Yield the engine for several maps: its workers stay from one to the next, where it has such workers.

    >>> with staying(InProcess()) as engine:
    ...     list(engine.map(str, [7]))
    [(0, '7')]
    """
    stays: Any = getattr(engine, "staying", None)
    return nullcontext(engine) if stays is None else stays()
