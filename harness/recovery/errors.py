"""What can go wrong when a restored log is recovered. One class per remedy; the values are attributes.

HarnessError (recorders.errors)
├── NothingToRecover    all that is known of the log is in it                       exit 2
├── WritersConnected    somebody could append while the log is recovered            exit 1
├── HistoriesDiverged   the log and what is known of it went different ways         exit 40
├── StoreForeign        a store with segments of another log                        exit 40
└── ReferenceLost       a verdict or a set that the log lost with its history       exit 30
"""

# ruff: noqa: N818  # the names are the design's words; what derives from HarnessError is an error

from collections.abc import Sequence

from recorders.errors import HarnessError


class NothingToRecover(HarnessError):
    """All that is known of the log is in it. `known` is the last position that anything knows of."""

    exit_code = 2

    def __init__(self, head: int, known: int) -> None:
        super().__init__(
            f"There is nothing to recover: the log ends at {head}, and what is known of it at {known}.",
            "Expected segments, receipts, checkpoints or a memory of this host that go further than the log.",
            'If a sidecar says that the log was restored, name what "harness sidecar receipts" prints there '
            "with --receipts; checkpoints that were kept elsewhere with --against.",
        )
        self.head = head
        self.known = known


class WritersConnected(HarnessError):
    """Somebody could append while the log is recovered. `sessions` are address, user and process of each."""

    def __init__(self, sessions: Sequence[str]) -> None:
        super().__init__(
            f"{len(sessions)} sessions that append to the log are connected: {', '.join(sessions)}.",
            "Expected nobody: what is appended now would take positions that lost events are to get back.",
            "Stop services that record without a sidecar, schedules and tails. A sidecar that waits for the "
            "recovery is not connected.",
        )
        self.sessions = list(sessions)


class HistoriesDiverged(HarnessError):
    """The log holds, at `position`, other events than those that are known to have been there.

    Either it was written to after the restore, before it was recovered, or it was rewritten. Raising its
    epoch would hide the second and lose the first's place.
    """

    exit_code = 40

    def __init__(self, position: int, what: str) -> None:
        super().__init__(
            f"From position {position} on the log and {what} are two histories.",
            "Expected a log that ends where it still agrees with everything that is known of it.",
            "If it was restored from a backup, something appended before it was recovered: restore it again, "
            'keep all writers away, and run "harness log recover" first (sidecars ship again what '
            "they had shipped). If it was not, somebody rewrote it: keep it, find out who could write there.",
        )
        self.position = position


class StoreForeign(HarnessError):
    """The store that is configured has segments of another log, and none of this one."""

    exit_code = 40

    def __init__(self, store: str, wanted: str, found: str) -> None:
        super().__init__(
            f"The store {store} holds segments of log {found}, and none of log {wanted}.",
            "Expected the store that this log was sealed into.",
            "Correct [store] in harness.toml. Nothing was changed.",
        )
        self.wanted = wanted
        self.found = found


class ReferenceLost(HarnessError):
    """A verdict, a set or a replay that the log once held, and lost when it was restored from a backup."""

    exit_code = 30

    def __init__(self, what: str, subject: str, position: int, epoch: int, at: int) -> None:
        super().__init__(
            f"INVALID: {what} {subject} was at position {position} of epoch {epoch}, in a part of history "
            f"that the log lost when it was restored (harness log show {at}).",
            "Expected a history that the log still holds.",
            "Make it anew from what the log holds now: evaluate and decide again, or create the set again.",
        )
        self.what = what
        self.subject = subject
        self.position = position
        self.epoch = epoch
        self.at = at
