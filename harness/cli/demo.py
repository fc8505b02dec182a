"""`harness demo`: a year of real flights through the whole line."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.output import emit, json_option

if TYPE_CHECKING:
    from harness.demo.narrator import Advance, Narrate

FOLDER = Path("demo-out")


@click.command()
@click.option(
    "-C",
    "--folder",
    type=click.Path(path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Where the demo lives; an earlier demo there is replaced.",
)
@click.option(
    "--sample",
    type=click.IntRange(1, 50),
    default=1,
    show_default=True,
    help="Take one flight in so many: quicker, and with less to tell.",
)
@json_option
def demo(*, folder: Path, sample: int, json: bool) -> None:
    """Run the whole line on a year of real flights, and say what happened in ten lines.

    Records the decisions and outcomes of 2013, cuts training sets, trains challengers, shadows them, looks
    every week, decides, promotes, and leaves a log to browse and a report to read.
    """
    from harness.demo.run import run

    told = run(folder, sample=sample, narrate=_narrator(json=json))
    data = {"lines": told.lines, "commands": told.commands, "story": told}
    text = "\n".join(["", *told.lines, "", "Look further:", *(f"  {each}" for each in told.commands)])
    emit(data, json=json, text=text)


def _narrator(*, json: bool) -> "Narrate":
    """Return who tells how far it is: a bar on a terminal, a line a chapter elsewhere, nobody with --json."""
    from harness.demo.narrator import silent

    if sys.stderr.isatty():
        return _bar
    return silent if json else _line


@contextmanager
def _line(title: str, _total: int) -> Iterator["Advance"]:
    began = time.perf_counter()
    yield lambda _done: None
    _finished(title, began)


@contextmanager
def _bar(title: str, total: int) -> Iterator["Advance"]:
    from harness.cli.progress import progress

    began = time.perf_counter()
    with progress(total, title, unit="steps") as done:
        yield done
    _finished(title, began)


def _finished(title: str, began: float) -> None:
    click.echo(f"{time.perf_counter() - began:6.1f} s  {title}", err=True)
