"""What can go wrong on an engine. One class per remedy; the values are attributes.

HarnessError (recorders.errors)
├── PartPoisoned            a part that ends whatever worker it is given                    exit 1
├── EngineLost              an engine that ended before it had run every part               exit 1
├── ClusterFailed           a cluster that cannot be reached, or gave up on a task          exit 1
├── NotShared               a folder that a worker has to have and has not                  exit 1
└── SparkMissing            PySpark is not installed                                        exit 2
"""

# ruff: noqa: N818  # the names are the design's words; what derives from HarnessError is an error

from recorders.errors import HarnessError

_PART_SHOWN = 80
_REASON_SHOWN = (300, 300)  # characters of its begin and of its end, where the cause often is


class PartPoisoned(HarnessError):
    """A part that ended every worker it was given: too large for the machine, or a crash in native code."""

    def __init__(self, index: int, parts: int, part: object, attempts: int) -> None:
        super().__init__(
            f"Part {index + 1} of {parts}, {part!r:.{_PART_SHOWN}}, ended its worker {attempts} times.",
            "Expected a worker to live through it: it was killed, ran out of memory, or crashed.",
            "Look for it in the system's log; run it with fewer workers, or in a place with more memory.",
        )
        self.index, self.part, self.attempts = index, part, attempts


class EngineLost(HarnessError):
    """An engine ended, and some parts were never run: its cluster went away."""

    def __init__(self, missing: list[int], parts: int) -> None:
        super().__init__(
            f"The engine ended without {len(missing)} of {parts} parts, the first is part {missing[0] + 1}.",
            "Expected the result of every part.",
            "Look at its own log, then run it again: it goes on from what the log has.",
        )
        self.missing = missing


class ClusterFailed(HarnessError):
    """A cluster cannot be reached, or gave a task up: its own log has the whole story.

    `reason` is all that it said; the message has its begin and its end.
    """

    def __init__(self, engine: str, error: BaseException) -> None:
        said = " ".join(str(error).split()).rstrip(".")
        self.engine, self.reason = engine, said or type(error).__name__
        super().__init__(
            f"{engine} gave up: {_ends(self.reason)}.",
            "Expected a cluster that can be reached, and workers with this package, a way to the log, and "
            "folders that they share with the one who asks.",
            f"Look at the log of {engine}, then run it again: it goes on from what the log has.",
        )


class NotShared(HarnessError):
    """A worker lacks a folder of the one who asks: they are on machines that do not share it."""

    def __init__(self, folder: str, host: str) -> None:
        super().__init__(
            f"The worker on {host} has no folder {folder}.",
            "Expected the temporary folder, and to score that of the models, to be shared by whoever asks "
            "and all workers, under one path.",
            "Share it, or name another: TMPDIR in the environment, `folder=` of run_replay.",
        )
        self.folder, self.host = folder, host


class SparkMissing(HarnessError):
    """Spark is asked for, and PySpark cannot be imported."""

    exit_code = 2

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"PySpark cannot be imported: {reason}.",
            "Expected PySpark 4 or newer here, and Java 17 or newer for a master of one's own.",
            "Install it: pip install 'shadow-harness[spark]'",
        )
        self.reason = reason


def _ends(text: str) -> str:
    """Return the begin and the end of a long text, and how much is between them."""
    begin, end = _REASON_SHOWN
    left = len(text) - begin - end
    return text if left <= 0 else f"{text[:begin]} [{left} characters] {text[-end:]}"
