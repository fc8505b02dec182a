"""Progress for a person who watches; silence for a file, a pipe and a scheduler."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(
    total: int | None, label: str, *, quiet: bool = False, unit: str = "rows"
) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told how many of `total` are done so far; `unit` is what they are.

    Shown on a terminal only, and not where a program reads the answer (`quiet`).

    >>> with progress(10, "scoring") as done:
    ...     done(10)
    """
    if quiet or not sys.stderr.isatty():
        yield _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(TextColumn):
        """How many a second since it began; nothing before the first."""

        def render(self, task: Task) -> Text:
            done, took = task.completed, task.elapsed
            return Text(f"{done / took:,.0f} {unit}/s" if done and took else "")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(""),
        TimeRemainingColumn(),
    )
    shown = Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=4,
        redirect_stdout=sys.stdout.isatty(),  # what goes into a pipe or a file is not for the terminal
    )
    with shown:
        task = shown.add_task(label, total=total)
        yield lambda done: shown.update(task, completed=done)


def _silent(_done: int) -> None:
    """Nobody watches."""
