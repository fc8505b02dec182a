"""Progress for a person who watches; silence for a file, a pipe and a scheduler."""

import datetime as dt
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial


class Pace:
    """How fast something gets on, from where it began: what others did before is no work of now.

    >>> pace = Pace(now=0.0)
    >>> pace.begin(900, now=1.0)
    >>> pace.rate(950, now=6.0)
    10.0
    >>> pace.left_s(950, 1000, now=6.0)
    5.0
    """

    def __init__(self, *, now: float) -> None:
        self._first, self._since = 0, now

    def begin(self, done: int, *, now: float) -> None:
        """Count from here on; `done` were done before. Times in seconds, from any moment on."""
        self._first, self._since = done, now

    def rate(self, done: float, *, now: float) -> float:
        """Return how many a second; 0 before the first."""
        took = now - self._since
        return max(0.0, done - self._first) / took if took > 0 else 0.0

    def left_s(self, done: float, total: float | None, *, now: float) -> float | None:
        """Return the seconds that are left at this rate, None where nobody can say."""
        rate = self.rate(done, now=now)
        return None if total is None or not rate else max(0.0, total - done) / rate


class Shown:
    """What a command tells of its progress: call it with how many are done so far."""

    def __init__(self, update: Callable[..., None], pace: Pace) -> None:
        self._update, self._pace = update, pace

    def __call__(self, done: int) -> None:
        """Show how many are done so far."""
        self._update(completed=done)

    def begin(self, done: int, total: int) -> None:
        """Show of how many how many were done before: they count in no rate."""
        self._pace.begin(done, now=time.monotonic())
        self._update(completed=done, total=total)


@contextmanager
def progress(
    total: int | None, label: str, *, quiet: bool = False, unit: str = "rows"
) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told how many of `total` are done so far; `unit` is what they are.

    Shown on a terminal only, and not where a program reads the answer (`quiet`). See `Shown` for what goes
    on from where it was.

    >>> with progress(10, "scoring") as done:
    ...     done(10)
    """
    if quiet or not sys.stderr.isatty():
        yield _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn
    from rich.text import Text

    pace = Pace(now=time.monotonic())

    class Rate(TextColumn):
        """How many a second; nothing before the first."""

        def render(self, task: Task) -> Text:
            rate = pace.rate(task.completed, now=time.monotonic())
            return Text(f"{rate:,.0f} {unit}/s" if rate else "")

    class Left(TextColumn):
        """The time that is left at this rate."""

        def render(self, task: Task) -> Text:
            left = pace.left_s(task.completed, task.total, now=time.monotonic())
            return Text("-:--:--" if left is None else f"{dt.timedelta(seconds=round(left))}")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(""), Left(""))
    shown = Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=4,
        redirect_stdout=sys.stdout.isatty(),  # what goes into a pipe or a file is not for the terminal
    )
    with shown:
        task = shown.add_task(label, total=total)
        yield Shown(partial(shown.update, task), pace)


def _silent(_done: int) -> None:
    """Nobody watches."""
