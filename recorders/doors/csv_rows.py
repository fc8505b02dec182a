"""CSV rows: the rows of a CSV file with the lines that each stands on, and what is wrong with it."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from recorders.doors.errors import FileUnreadable


class CsvRow(NamedTuple):
    """The cells of one row, which stands on the lines `first` to `last`; `fault` says why it has none."""

    first: int
    last: int
    cells: list[str] = []  # noqa: RUF012  # never changed
    fault: str = ""

    @property
    def place(self) -> str:
        """Where it stands.

        >>> CsvRow(3, 3).place, CsvRow(3, 9).place
        ('line 3', 'lines 3 to 9')
        """
        return f"line {self.last}" if self.first >= self.last else f"lines {self.first} to {self.last}"


def csv_rows(stream: Iterable[str], path: Path) -> Iterator[CsvRow]:
    """Yield the rows of a file whose bytes were decoded with `surrogateescape`. Empty lines have no cells.

    A cell in quotes may hold line ends. One that does not end holds all rows after it, and Python's reader
    takes it for a whole one. Where it is of one line that line is at fault; else nothing says where it ends.

    Raises:
        FileUnreadable: a cell in quotes goes on for lines, and does not end.
    """
    held: list[str] = []
    reader = csv.reader(_remembered(stream, held))
    while True:
        held.clear()
        first = reader.line_num + 1
        fault = ""
        try:
            cells = next(reader, None)
        except csv.Error as error:
            cells, fault = [], str(error)
        if cells is None:
            return
        text = "".join(held)
        endless = bool(fault) or (text.count('"') % 2 == 1 and _open(text))
        if endless and reader.line_num > first:
            raise FileUnreadable(path, f"a cell in quotes begins in line {first} and does not end")
        if endless:
            fault = fault or "a cell in quotes does not end"
        elif not text.isascii() and not _decoded(text):
            fault = "it is not UTF-8"
        yield CsvRow(first, reader.line_num, [] if fault else cells, fault)


def _remembered(stream: Iterable[str], held: list[str]) -> Iterator[str]:
    for line in stream:
        held.append(line)
        yield line


def _open(text: str) -> bool:
    """Whether the text of one row ends within quotes."""
    try:
        for _ in csv.reader([text], strict=True):
            continue
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _decoded(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
