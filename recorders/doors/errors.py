"""What can go wrong at a door. One class per remedy; the values are attributes.

HarnessError (recorders.errors)
├── InvalidEvent
│   └── Unreadable          bytes that are not what their sender says they are          exit 2
│       └── FileUnreadable  a whole file that cannot be read                            exit 2
├── MappingError            a mapping that cannot be used                               exit 2
├── SampleUnusable          a file that no mapping can be proposed from                 exit 2
├── TooLarge                more bytes than a door takes                                exit 1
└── DoorClosed              nothing can be kept now; the sender may try again           exit 1
"""

# ruff: noqa: N818  # the names are the design's words; what derives from HarnessError is an error

import difflib
from collections.abc import Iterable
from pathlib import Path

from recorders.errors import HarnessError, InvalidEvent


class Unreadable(InvalidEvent):
    """Bytes that are not what their sender says they are. `what` says where they differ."""

    def __init__(self, what: str, *, reason: str = "unreadable") -> None:
        super().__init__(
            reason,
            f"The payload cannot be used: {what}.",
            "Expected what docs/doors.md describes for this door.",
            "Correct the sender or the mapping; sending the same again will not help.",
        )
        self.what = what


class FileUnreadable(Unreadable):
    """A file that cannot be read, or not to its end: nothing says which rows are missing."""

    def __init__(self, path: Path, what: str) -> None:
        super(Unreadable, self).__init__(
            "unreadable",
            f"{path} cannot be read: {what}.",
            "Expected a whole file of the form that docs/doors.md lists for its mapping's source.",
            "Write it anew, or name the source that it is from.",
        )
        self.path, self.what = path, what


class MappingError(HarnessError):
    """A mapping that cannot be used: mend its file."""

    exit_code = 2

    @classmethod
    def unknown(cls, where: str, word: str, known: Iterable[str]) -> "MappingError":
        """Return the error for a word that is not among the known ones; it names the nearest."""
        names = sorted(known)
        near = difflib.get_close_matches(word, names, n=1, cutoff=0.0)
        hint = f"Did you mean {near[0]!r}?" if near else "Remove it."
        return cls(f"{where} has {word!r}.", f"Expected one of {', '.join(names)}.", hint)


class SampleUnusable(HarnessError):
    """A file that no mapping can be proposed from: give another one."""

    exit_code = 2

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"No mapping can be proposed from {path}: {what}.",
            "Expected a file with at least one row or request, as its service wrote it.",
            "Give another sample, or say what wrote it with --source.",
        )
        self.path, self.what = path, what


class TooLarge(HarnessError):
    """More bytes than a door takes."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(
            f"{what} is larger than {limit} bytes.",
            "Expected less.",
            "Send fewer events at once, or raise the limit in the door's settings.",
        )
        self.limit = limit


class DoorClosed(HarnessError):
    """Nothing can be kept now. What was sent was not taken: the sender may send it again."""

    def __init__(self, what: str, *, retry_after_s: int = 5) -> None:
        super().__init__(
            f"Nothing can be kept now: {what}.",
            "Expected a spool with room behind the door.",
            f"Send the same again in {retry_after_s} s; see `harness sidecar status`.",
        )
        self.retry_after_s = retry_after_s
