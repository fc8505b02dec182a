"""What can go wrong below the shell. One class per remedy; the values are attributes.

HarnessError
├── InvalidEvent            a value that the feature set does not allow
├── FeatureSetError         a declaration that cannot be used
├── AddressInvalid          an address that no sidecar can have
├── LinkUnavailable         try again later: nothing is wrong with what was sent
│   └── KeysUnavailable     the keys of persons cannot be had now
└── AppendError             the log refuses; sending the same again will not help
    ├── WriterForked        two histories under one writer
    ├── SequenceGap         a batch was skipped
    ├── Rewound             the log is behind what it had acknowledged
    ├── WrongLog            another log than the one that was agreed on
    ├── EventAhead          an event of a day that is still to come
    └── CorruptBatch        the bytes are not those that their digest names
"""

# ruff: noqa: N818  # the names are the design's words; what derives from HarnessError is an error

from typing import Any
from uuid import UUID


class HarnessError(Exception):
    """Base of all errors that a user can act on.

    The message has three parts: what happened with its values, what was expected, what to do.
    `exit_code` is what the command line returns for it.
    """

    exit_code = 1

    def __init__(self, happened: str, expected: str, remedy: str) -> None:
        super().__init__(f"{happened} {expected} {remedy}")
        self.happened = happened
        self.expected = expected
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what pickle needs: errors cross process pools, and their constructors differ."""
        return _restore, (type(self), self.args, self.__dict__)


def _restore(cls: type[HarnessError], args: tuple[Any, ...], values: dict[str, Any]) -> HarnessError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(values)
    return error


class InvalidEvent(HarnessError):
    """A value that the feature set does not allow. `reason` is the counter it falls under.

    `decision_point` is where it would have gone, "" until that is known.
    """

    exit_code = 2

    def __init__(self, reason: str, happened: str, expected: str, remedy: str) -> None:
        super().__init__(happened, expected, remedy)
        self.reason = reason
        self.decision_point = ""


class FeatureSetError(HarnessError):
    """A feature set that cannot be used: mend its declaration."""

    exit_code = 2


class AddressInvalid(HarnessError):
    """An address that no sidecar can have: mend it where the link is made."""

    exit_code = 2

    def __init__(self, address: str) -> None:
        super().__init__(
            f"The sidecar's address is {address!r}.",
            "Expected the path of its socket, or host and port.",
            'Write it as "/run/harness-sidecar/door.sock" or "tcp://127.0.0.1:7071".',
        )
        self.address = address


class LinkUnavailable(HarnessError):
    """The far end did not answer. What was sent may or may not have arrived: send the same again."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The log did not answer: {what}.",
            "Expected a database that accepts connections.",
            "Check that it runs and that its URL is right (`harness doctor`); sending again is safe.",
        )
        self.what = what


class KeysUnavailable(LinkUnavailable):
    """The keys of persons cannot be had: nothing of theirs is written or read until they can."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.happened = f"The keys of persons cannot be had: {what}."
        self.expected = "Expected the key store and what wraps its keys, as they were when it was made."
        self.remedy = (
            "Check HARNESS_KEYS_URL, HARNESS_SUBJECT_SECRET and HARNESS_SUBJECT_WRAPPER (docs/erasure.md); "
            "trying again is safe."
        )
        self.args = (f"{self.happened} {self.expected} {self.remedy}",)


class AppendError(HarnessError):
    """The log refuses a batch, and sending the same again will not help."""


class WriterForked(AppendError):
    """Two histories under one writer: a cloned spool, a resumed snapshot, a copied process.

    `stored` and `sent` are the batch digests (hex) that differ.
    """

    exit_code = 40

    def __init__(self, writer: UUID, sequence: int, *, stored: str = "", sent: str = "") -> None:
        digests = f" Stored digest {stored[:12]}, sent digest {sent[:12]}." if stored and sent else ""
        super().__init__(
            f"Writer {writer} sent other bytes under sequence {sequence}, which the log holds.{digests}",
            "Expected the same bytes for the same sequence.",
            "Two processes write under one identity: stop the copy, restart it, and it takes a new writer.",
        )
        self.writer = writer
        self.sequence = sequence
        self.stored = stored
        self.sent = sent


class SequenceGap(AppendError):
    """A batch was skipped. `have` is the last stored sequence, `got` the one that was sent."""

    def __init__(self, writer: UUID, have: int, got: int) -> None:
        super().__init__(
            f"Batch {got} of writer {writer} follows {have}.",
            f"Expected sequence {have + 1}.",
            f"Send batches {have + 1} to {got - 1} first.",
        )
        self.writer = writer
        self.have = have
        self.got = got


class Rewound(AppendError):
    """The log is behind what it had acknowledged: it was restored from a backup.

    `epoch` is the log's, None where it does not say so: who was acknowledged in that epoch or a later one
    knows that the log has not been recovered yet.
    """

    exit_code = 40

    def __init__(self, writer: UUID, have: int, acked: int, epoch: int | None = None) -> None:
        super().__init__(
            f"The log holds writer {writer} up to sequence {have}, but had acknowledged {acked}.",
            f"Expected a log that holds sequence {acked}.",
            'The log was restored from a backup: run "harness log recover" where the log is, with what '
            '"harness sidecar receipts" (or "python -m recorders.sidecar receipts") prints. '
            f"Then sequence {have + 1} and what follows can be sent.",
        )
        self.writer = writer
        self.have = have
        self.acked = acked
        self.epoch = epoch


class WrongLog(AppendError):
    """Another log than the one that was agreed on."""

    exit_code = 40

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(
            f"The database holds log {found}.",
            f"Expected log {expected}.",
            "Check the database URL: nothing was written.",
        )
        self.expected_log = expected
        self.found = found


class EventAhead(AppendError):
    """An event over a day ahead of the server's clock, for an event-clock log: both are ISO 8601 in UTC.

    The time of a log never goes back. One event of the year 9999 would make it the time of all after it.
    """

    exit_code = 2

    def __init__(self, occurred: str, clock: str) -> None:
        super().__init__(
            f"The batch holds an event that occurred at {occurred}; the server's clock says {clock}.",
            "Expected, for the event clock, no event more than a day ahead of the server's.",
            "Nothing was taken from it. Correct the clock or the time's unit where the event was recorded.",
        )
        self.occurred = occurred
        self.clock = clock


class CorruptBatch(AppendError):
    """Bytes that are not what they claim to be. `what` says where they differ.

    `position` is where the log holds them, None for a batch that is still to be appended.
    """

    exit_code = 40

    def __init__(self, what: str, *, position: int | None = None) -> None:
        if position is None:
            happened = f"The batch is not usable: {what}."
            remedy = "Nothing was taken from it. Send it again from its source."
        else:
            happened = f"The batch at position {position} cannot be read: {what}."
            remedy = (
                f"Its writer made it so: `harness log show {position}` names it, `harness log verify` tells "
                "whether the log was altered. Ranges before and after it can be read."
            )
        super().__init__(
            happened,
            "Expected one Arrow record batch of the allowed types, with the events it counts.",
            remedy,
        )
        self.what = what
        self.position = position
