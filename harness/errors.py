"""What can go wrong in the shell. One class per remedy; the values are attributes.

HarnessError (recorders.errors)
├── ConfigError             a setting that cannot be used                                   exit 2
├── UsageError              an argument that cannot be used                                 exit 2
│   ├── NaiveTime           a time without its offset
│   ├── TimeAhead           a time that has not come by the log's clock
│   ├── UnknownPosition     a place beyond the end of the log
│   ├── RangeUnusable       a range that ends before it begins
│   ├── FileUnwritable      a file that is to be written and cannot be
│   ├── FolderUnusable      a folder that cannot be made or written
│   └── NotFound            a name that nobody registered
├── DatabaseError           the database, not the log in it                                 exit 1
│   ├── DatabaseUnavailable nothing answers at the address
│   ├── DatabaseRefused     it answers, and does not let us in
│   ├── DatabaseReadOnly    it answers, and takes no writes
│   ├── EncodingUnusable    it cannot hold all letters
│   └── EmbeddedFailed      the embedded PostgreSQL does not start
├── NotALog                 a database without a log of ours                                exit 1
├── SchemaTooNew            a log that a newer harness made                                 exit 1
├── SchemaTooOld            a log that an older harness made                                exit 1
├── LogExists               another log than the one to be created                          exit 1
└── DigestMismatch          stored bytes are not what their digest names                    exit 40
"""

# ruff: noqa: N818  # the names are the design's words; what derives from HarnessError is an error

import difflib
from collections.abc import Iterable
from datetime import datetime

from recorders.errors import HarnessError

# Where each noun is listed.
_LISTS = {
    "decision": "harness log tail --kind decision",
    "decision point": "harness log stats",
    "experiment": "harness experiment list",
    "model": "harness model list",
    "outcome": "harness log tail --kind outcome",
    "replay": "harness replay list",
    "schedule": "harness schedule list",
    "training set": "harness training-set list",
    "verdict": "harness experiment list",
}


class ConfigError(HarnessError):
    """A setting that cannot be used. Correct the named file or variable."""

    exit_code = 2


class UsageError(HarnessError):
    """An argument that cannot be used. Correct the command or the call."""

    exit_code = 2


class NaiveTime(UsageError):
    """A time without its offset names different instants on different machines."""

    def __init__(self, value: object) -> None:
        super().__init__(
            f"The time {value} has no offset from UTC.",
            "Expected an instant, such as 2013-05-01T00:00:00Z or 2013-05-01T00:00:00-04:00.",
            "Add the offset.",
        )
        self.value = value


class TimeAhead(UsageError):
    """A time that has not come by the log's clock: what will be recorded until then is not known yet."""

    def __init__(self, time: datetime, now: datetime) -> None:
        super().__init__(
            f"The time {time.isoformat()} has not come: by the log's clock it is {now.isoformat()}.",
            "Expected a time up to then: what will be recorded until a later one is not known yet.",
            'Leave the time out to mean the end of the log, or name an earlier one: see "harness log head".',
        )
        self.time = time
        self.now = now


class UnknownPosition(UsageError):
    """A place that the log has not reached, or that holds no event where one is asked for (`first` is 1).

    With `begins`, a range begins there; with `stops`, it is the last one of a range. With `cut` too, and
    `head` is where --as-of ends what is read, which need not be the end of the log.
    """

    def __init__(
        self,
        position: int,
        head: int,
        *,
        first: int = 0,
        begins: bool = False,
        stops: bool = False,
        cut: bool = False,
    ) -> None:
        end = 'See "harness log head", or leave the position out to mean the end of the log.'
        reached = f"ends at {head}" if head else "is empty"
        happened = f"Position {position} does not exist: the log {reached}."
        if cut:
            happened = f"Position {position} does not exist as of position {head}."
            expected = f"Expected a range that stops at {head + 1} or before."
            end = "Choose a later --as-of or an earlier --to."
        elif stops:
            expected = f"Expected a range that stops at {head + 1} or before."
            end = "Leave --to out to mean the end of the log."
        elif begins:
            expected = f"Expected a range that begins at {head + 1} or before."
            end = "Leave --from out to mean the start of the log."
        elif head == 0:
            expected = "Expected an event in the log." if first else "Expected 0, the start of the log."
        else:
            expected = f"Expected a position from {first} to {head}."
            if position == 0:
                happened = "Position 0 is the start of the log and holds no event."
        if first:  # one event, which cannot be left out
            end = 'See "harness log tail" for the last ones there are.'
        super().__init__(happened, expected, end)
        self.position = position
        self.head = head


class RangeUnusable(UsageError):
    """A range that ends before it begins, or begins before the log does."""

    def __init__(self, start: int, stop: int | None) -> None:
        super().__init__(
            f"The range [{start}, {'the end' if stop is None else stop}) is none.",
            "Expected a first position from 1, and one after the last that is not before it.",
            "Ranges are half-open: --from 3 --to 5 is positions 3 and 4.",
        )
        self.start, self.stop = start, stop


class FileUnwritable(UsageError):
    """A file that is to be written and cannot be. `reason` is the system's own."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(
            f'The file "{path}" cannot be written: {reason}.',
            "Expected a file that is there and may be written, or a name for one in a folder that is.",
            "Name another, or make its folder or correct its rights.",
        )
        self.path = str(path)
        self.reason = reason


class FolderUnusable(UsageError):
    """A folder that cannot be made, entered or written. `reason` is the system's own."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(
            f"The folder {path} cannot be used: {reason}.",
            "Expected a folder that may be made and written.",
            "Name another one with -C, or correct its rights.",
        )
        self.path = str(path)
        self.reason = reason


class NotFound(UsageError):
    """A name that nobody registered; the nearest known ones are in the message.

    `known` None: there may be others, too many to name.
    """

    def __init__(self, noun: str, name: str, known: Iterable[str] | None) -> None:
        names = sorted(known or ())
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names[:5]
        expected = f"Known: {', '.join(near)}." if names else f"No {noun} is registered yet."
        if known is None:
            expected = "Expected one that the log holds."
        super().__init__(
            f'There is no {noun} "{name}".',
            expected,
            f'Check the name: "{_LISTS.get(noun, "harness log tail --kind control")}" shows what there is.',
        )
        self.noun = noun
        self.name = name
        self.near = near


class DatabaseError(HarnessError):
    """The database, not the log in it."""


class DatabaseUnavailable(DatabaseError):
    """Nothing answers at the address. `reason` is the server's or the driver's own text."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"The database at {address} does not answer: {reason}.",
            "Expected a running PostgreSQL, version 14 or newer.",
            "Start it or correct HARNESS_DATABASE_URL; unset it to use the embedded one.",
        )
        self.address = address
        self.reason = reason


class DatabaseRefused(DatabaseError):
    """The server answers, and does not let us in or does not let us do this."""

    def __init__(self, address: str, reason: str, expected: str = "") -> None:
        super().__init__(
            f"The database at {address} refused: {reason}.",
            expected
            or "Expected a login that may do this: harness_reader to read, harness_operator to evaluate.",
            "Correct user, password and database in HARNESS_DATABASE_URL, or have the role granted.",
        )
        self.address = address
        self.reason = reason


class EncodingUnusable(DatabaseError):
    """A database of another encoding than UTF-8: names of a log may be of any letters."""

    def __init__(self, address: str, found: str) -> None:
        super().__init__(
            f"The database at {address} cannot hold every name: {found}.",
            "Expected the encoding UTF8, for names may be of any letters. Nothing was changed.",
            'Make another one, "createdb --template template0 --encoding UTF8 NAME", and name it in '
            "HARNESS_DATABASE_URL. A log that is in this one is moved there by pg_dump and pg_restore.",
        )
        self.address = address
        self.found = found


class DatabaseReadOnly(DatabaseError):
    """The server takes no writes: a standby, or a restore that stands where it was told to stop."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"The database at {address} is read-only: {reason}.",
            "Expected the primary, or a restored server that was let go on.",
            "Correct HARNESS_DATABASE_URL; one that was restored to a point in time goes on with "
            '"select pg_wal_replay_resume()".',
        )
        self.address = address
        self.reason = reason


class EmbeddedFailed(DatabaseError):
    """The embedded PostgreSQL does not start or stop. `log` is the end of its own log."""

    def __init__(self, happened: str, log: str = "", remedy: str = "") -> None:
        super().__init__(
            f"The embedded PostgreSQL failed: {happened}",
            f"Its log ends: {log.strip()}" if log.strip() else "Its log is empty.",
            remedy or 'Run "harness doctor", or point HARNESS_DATABASE_URL to a PostgreSQL of your own.',
        )
        self.log = log


class NotALog(HarnessError):
    """A database without a log of ours."""

    def __init__(self, address: str, found: str) -> None:
        super().__init__(
            f"There is no log at {address}: {found}.",
            "Expected the schema harness as our migrations make it.",
            'Run "harness init" to create a log there, or name another folder or HARNESS_DATABASE_URL.',
        )
        self.address = address


class SchemaTooNew(HarnessError):
    """A log that a newer harness made: this code does not know what it may not break."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"The log has schema revision {found}.",
            f"Expected {known} or older, which is what this version knows.",
            "Upgrade shadow-harness here to the version that made the log.",
        )
        self.found = found
        self.known = known


class SchemaTooOld(HarnessError):
    """A log that an older harness made."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"The log has schema revision {found}.",
            f"Expected {known}.",
            'Run "harness init": it upgrades the schema and leaves every batch as it is.',
        )
        self.found = found
        self.known = known


class LogExists(HarnessError):
    """Another log than the one to be created stands there already."""

    def __init__(self, clock: str, wanted: str) -> None:
        super().__init__(
            f"There is a log here already, with the {clock} clock.",
            f"Expected none, or one with the {wanted} clock: the clock is fixed when a log is created.",
            "Use another folder or database for the new log.",
        )
        self.clock = clock
        self.wanted = wanted


class DigestMismatch(HarnessError):
    """Stored bytes are not what their digest names: the log was altered, or its disk is failing."""

    exit_code = 40

    def __init__(self, position: int, digest: str, found: str) -> None:
        super().__init__(
            f"The batch at position {position} has payload digest {found[:16]}.",
            f"Expected {digest[:16]}, as it was appended.",
            'Run "harness log verify" for the extent, then restore the range from a backup.',
        )
        self.position = position
        self.digest = digest
        self.found = found
