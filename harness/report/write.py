"""Writes the page: whole or not at all."""

import os
from hashlib import sha256
from pathlib import Path

from harness.log.log import Log
from harness.log.places import When
from harness.report.gather import gather
from harness.report.page import render
from recorders.errors import HarnessError


class ReportNotWritten(HarnessError):  # noqa: N818 -- derives from HarnessError, which is an error
    """The file system refused the report. Nothing that was there before is harmed."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The report was not written to {path}: {reason}.",
            "Expected a folder that exists, may be written to and has room.",
            "Name another file with -o; nothing was changed.",
        )
        self.path = path
        self.reason = reason


def write_page(page: str, path: Path) -> str:
    """Return the SHA-256 of the page as written to `path`; an older file is replaced in one step.

    Raises:
        ReportNotWritten: the folder is absent, closed or full.
    """
    content = page.encode()
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ReportNotWritten(path, error.strerror or str(error)) from error
    return sha256(content).hexdigest()


def write_report(log: Log, experiment: str, path: Path, as_of: When = None) -> str:
    """Return the SHA-256 of the report of an experiment, written to `path` as of a place in the log.

    Raises:
        NotFound, UsageError: no such experiment there.
        ReportNotWritten: see `write_page`.
    """
    return write_page(render(gather(log, experiment, as_of)), path)
