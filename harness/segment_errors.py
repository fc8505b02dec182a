"""What can go wrong with sealed segments and the store that keeps them. One class per remedy.

HarnessError (recorders.errors)
├── StoreError              the store, not what is in it                                    exit 1
│   ├── StoreUnknown        an address that names no store that can be used here            exit 2
│   ├── StoreUnreachable    it does not answer, or not in time
│   ├── StoreRefused        it answers, and does not let us do this
│   └── StoreFull           there is no room left
├── SegmentError            what was sealed is not what is there                            exit 40
│   ├── SegmentMissing      a file that was registered is gone
│   ├── SegmentAltered      a file that was registered holds other bytes
│   ├── SealFailed          what the store gave back is not what was written
│   ├── ChainBroken         the log itself is not what its chain names
│   └── ListingBroken       the registrations do not follow each other
├── SealBusy                another process is sealing this log                             exit 1
└── ReleaseRefused          a partition that may not be released now                        exit 1
"""

# ruff: noqa: N818  # the names are the design's words; what derives from HarnessError is an error

from recorders.errors import HarnessError


class StoreError(HarnessError):
    """The store, not what is in it."""


class StoreUnknown(StoreError):
    """An address that names no store that can be used here."""

    exit_code = 2

    def __init__(self, address: str, reason: str, remedy: str) -> None:
        super().__init__(
            f"The store {address} cannot be used: {reason}.",
            "Expected a folder, or the address of an object store such as s3://bucket/prefix.",
            remedy,
        )
        self.address = address
        self.reason = reason


class StoreUnreachable(StoreError):
    """The store does not answer. Nothing was registered; trying again is safe."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"The store {address} does not answer: {reason}.",
            "Expected a folder that is mounted, or an object store that answers in time.",
            "Try again when it does: what was written before is found again, and nothing is lost.",
        )
        self.address = address
        self.reason = reason


class StoreRefused(StoreError):
    """The store answers, and does not let us do this."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"The store {address} refused: {reason}.",
            "Expected the right to read, write and list there.",
            "Correct the rights or the credentials in the environment.",
        )
        self.address = address
        self.reason = reason


class StoreFull(StoreError):
    """There is no room left. What is in the log stays there."""

    def __init__(self, address: str, path: str) -> None:
        super().__init__(
            f"The store {address} has no room for {path}.",
            "Expected room for the segment beside those that are there.",
            "Free some and run the same command again: nothing of it was registered, and the log has it all.",
        )
        self.address = address
        self.path = path


class SegmentError(HarnessError):
    """What was sealed is not what is there."""

    exit_code = 40


class SegmentMissing(SegmentError):
    """A file that was registered is gone."""

    def __init__(self, address: str, path: str, first: int) -> None:
        super().__init__(
            f"The store {address} has no {path}, which holds positions from {first} on.",
            "Expected every registered file.",
            "Check that [store] names the store that the log was sealed into; else restore it from a backup.",
        )
        self.address = address
        self.path = path
        self.position = first


class SegmentAltered(SegmentError):
    """A file that was registered holds other bytes. `position` is the first that may be touched."""

    def __init__(self, path: str, position: int, what: str) -> None:
        super().__init__(
            f"The segment {path} is not as it was sealed from position {position} on: {what}.",
            "Expected the bytes whose digest the log holds.",
            'Run "harness log verify" for the extent, then restore the file from a backup of the store.',
        )
        self.path = path
        self.position = position
        self.what = what


class SealFailed(SegmentError):
    """What the store gave back is not what was written. Nothing was registered."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(
            f"The segment {path} came back from the store with {what}.",
            "Expected the events that the log holds.",
            "Nothing was registered, and the log has it all. Check the store's disk, and seal again.",
        )
        self.path = path
        self.what = what


class ListingBroken(SegmentError):
    """The registrations of segments do not follow each other: they overlap, or leave positions out."""

    def __init__(self, position: int, what: str) -> None:
        super().__init__(
            f"The registration of segments at position {position} cannot be: {what}.",
            "Expected ranges that follow each other from position 1, each sealed from this history.",
            'Run "harness log verify": somebody who may append control events registered something else.',
        )
        self.position = position
        self.what = what


class ChainBroken(SegmentError):
    """The log itself is not what its chain names: it is not sealed."""

    def __init__(self, position: int, what: str) -> None:
        super().__init__(
            f"The batch at position {position} is not as it was appended: {what}.",
            "Expected a log whose chain holds.",
            'Nothing was registered. Run "harness log verify" for the extent, and restore it from a backup.',
        )
        self.position = position
        self.what = what


class SealBusy(HarnessError):
    """Another process is sealing this log."""

    def __init__(self) -> None:
        super().__init__(
            "Another process seals, compacts or releases segments of this log.",
            "Expected to be the only one.",
            "Wait for it, or try again: whoever comes second has nothing left to do.",
        )


class ReleaseRefused(HarnessError):
    """A partition that may not be released now."""

    def __init__(self, start: int, reason: str, remedy: str) -> None:
        super().__init__(
            f"The partition that begins at position {start} cannot be released: {reason}.",
            "Expected a partition that is full, sealed and verified, and that no statement is reading.",
            remedy,
        )
        self.start = start
        self.reason = reason
