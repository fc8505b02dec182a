"""What can go wrong in a sidecar. One class per remedy.

HarnessError (recorders.errors)
├── SettingsError           a setting that cannot be used                           exit 2
├── ExtraMissing            what a sidecar runs on is not installed                 exit 1
├── SpoolBusy               another sidecar has the folder                          exit 1
├── SpoolTaken              another sidecar took the folder while this one slept    exit 40
├── SpoolDamaged            a spool file went bad while it was in use               exit 40
├── ManyRefused             the log refuses one batch after another                 exit 40
├── SpoolForbidden          a spool, or a file in it, that is closed to this user       exit 1
├── SpoolUnusable           the disk does not let a spool be opened                 exit 1
├── ShipperBroke            the shipper's thread ended, and not as it should        exit 1
├── SpoolTooNew             a folder that a newer sidecar wrote                     exit 1
├── SidecarUnreachable      no sidecar answers                                      exit 1
├── SidecarSilent           a sidecar that is there, and does not answer            exit 1
├── SidecarForeign          what answers is no sidecar of a version that is known   exit 1
├── NotDrained              a sidecar that is gone, and has not shipped all         exit 1
└── SidecarForbidden        a sidecar that answers another user                     exit 1
"""

# ruff: noqa: N818  # the names say what happened; what derives from HarnessError is an error
from collections.abc import Sequence
from pathlib import Path

from recorders.errors import AppendError, HarnessError


class SettingsError(HarnessError):
    """A setting that cannot be used."""

    exit_code = 2


class ExtraMissing(HarnessError):
    """What a sidecar runs on is not installed."""

    def __init__(self, modules: Sequence[str]) -> None:
        super().__init__(
            f"A sidecar needs what is not installed here: {', '.join(modules)}.",
            "Expected the extra that brings it.",
            "Run: pip install 'shadow-harness-recorder[sidecar]', or 'shadow-harness[sidecar]' for all.",
        )
        self.modules = tuple(modules)


class SpoolBusy(HarnessError):
    """Another sidecar has the folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"The spool {folder} is in use.",
            "Expected a folder that no other sidecar has open.",
            "Stop that one, or give this one a folder of its own.",
        )
        self.folder = folder


class SpoolTaken(HarnessError):
    """Another sidecar took the folder while this one slept."""

    exit_code = 40

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"The spool {folder} was opened by another sidecar while this one had it.",
            "Expected one sidecar a folder.",
            "This one stops without touching it again; see that only one is started.",
        )
        self.folder = folder


class SpoolDamaged(HarnessError):
    """A spool file went bad while it was in use."""

    exit_code = 40

    def __init__(self, what: str) -> None:
        super().__init__(
            f"A spool file cannot be used: {what}.",
            "Expected the file as it was written.",
            "Start the sidecar again: it puts the file aside, counts what it held and goes on.",
        )
        self.what = what


class SpoolForbidden(HarnessError):
    """A spool, or a file in it, that is closed to this user."""

    def __init__(self, folder: Path, whose: str, user: str) -> None:
        super().__init__(
            f"The spool {folder} is closed to {user}: {whose}.",
            "Expected a folder, with all that is in it, where this user may work.",
            f"Run this as that user. Or make it {user}'s, while no sidecar runs: chown -R {user} {folder}.",
        )
        self.folder = folder


class SpoolUnusable(HarnessError):
    """The disk does not let a spool be opened."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(
            f"The spool {folder} cannot be opened: {why}.",
            "Expected a disk that takes two small files.",
            "Make room or mend the disk and start again; what was acknowledged is still there.",
        )
        self.folder = folder
        self.why = why


class ShipperBroke(HarnessError):
    """The shipper's thread ended, and not as it should."""

    def __init__(self) -> None:
        super().__init__(
            "Shipping ended in an error that the sidecar does not know; its traceback is in the log.",
            "Expected one of the failures that it bears.",
            "Start it again: what was acknowledged is on disk. Report the traceback.",
        )


class SpoolTooNew(HarnessError):
    """A folder that a newer sidecar wrote."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"{path} has format {found}.",
            f"Expected format {known} or older.",
            "Start the newer version again; it drains the spool.",
        )
        self.path = path
        self.found = found
        self.known = known


class SidecarUnreachable(HarnessError):
    """No sidecar answers."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(
            f"No sidecar answers at {where}: {why}.",
            "Expected one that runs.",
            "Start it with `harness sidecar run`, or see its log for why it stopped.",
        )
        self.where = where


class SidecarSilent(HarnessError):
    """A sidecar that is there, and does not answer: its process is stopped, or waits for its disk."""

    def __init__(self, where: str, seconds: float) -> None:
        super().__init__(
            f"The sidecar at {where} has not answered for {seconds:g} s.",
            "Expected an answer at once.",
            "See what its process waits for: it may be stopped (kill -CONT), or its disk hangs. What it was "
            "asked it does when it goes on.",
        )
        self.where = where


class SidecarForeign(HarnessError):
    """What answers is no sidecar of a version that these commands know."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(
            f"What answers at {where} is no sidecar that these commands know: {why}.",
            "Expected the status of a sidecar.",
            "Ask it with the commands of the version that runs, or name another one's settings.",
        )
        self.where = where


class NotDrained(HarnessError):
    """A sidecar that ended while it was drained, and has not shipped all."""

    def __init__(self, batches: int, frames: int) -> None:
        super().__init__(
            f"The sidecar ended before it was drained: {batches} batches, {frames} frames are not shipped.",
            "Expected an empty spool.",
            "Nothing is lost: ship them with `harness sidecar ship`, or start it again.",
        )
        self.batches, self.frames = batches, frames


class SidecarForbidden(HarnessError):
    """A sidecar that answers another user."""

    def __init__(self, where: Path, owner: str, user: str) -> None:
        super().__init__(
            f"The sidecar's socket {where} is closed to {user}: it belongs to {owner}.",
            "Expected the user that the sidecar runs as.",
            f"Run this as {owner}.",
        )
        self.where = where


class ManyRefused(AppendError):
    """The log refuses one batch after another: it is not the batches. They stay as they are."""

    exit_code = 40

    def __init__(self, count: int, sequence: int, what: str) -> None:
        super().__init__(
            f"The log refused {count} batches after each other, and now batch {sequence}: {what}.",
            "Expected a log that takes all but a damaged one.",
            'Compare the versions of sidecar and log ("harness doctor"). What waits is kept; '
            "shipping goes on by itself once the log takes it.",
        )
        self.count, self.sequence, self.what = count, sequence, what
