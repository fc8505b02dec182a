"""What can go wrong with the specification and the life of a training set. One class per remedy.

HarnessError (recorders.errors)
├── SpecUnusable            a specification that no log can give                            exit 2
├── LabelUnknown            a label that no outcome has                                     exit 2
├── WindowTooLong           no decision is as old as the label's window                     exit 2
├── MemoryReached           more decisions than the memory holds the ids of                 exit 1
├── BackfillUnusable        recomputed features that are absent, or not those declared      exit 2
├── GatesFailed             a set that is not what its gates ask for                        exit 30
├── NotAnExtension          a set that cannot be continued to that place                    exit 2
├── ErasedSince             a set of which rows were erased, and no file to compare with     exit 30
├── ErasedMeanwhile         a set that was cut while somebody in its range was erased       exit 1
├── RowNotFound             a decision that is not in the set                               exit 2
├── RowProofInvalid         a proof of a row that does not hold                             exit 40
├── StateOfAnother          a loader's state of another set or order                        exit 2
└── FrameworkMissing        a package that a hand-off needs and that is not installed       exit 2
"""

# ruff: noqa: N818  # the names are the design's words; what derives from HarnessError is an error

from collections.abc import Iterable, Sequence
from datetime import timedelta

from harness.errors import NotFound
from recorders.errors import HarnessError


class SpecUnusable(HarnessError):
    """A specification that no log can give."""

    exit_code = 2

    def __init__(self, happened: str, expected: str) -> None:
        super().__init__(happened, expected, "Correct the specification of the set.")


class LabelUnknown(NotFound):
    """No outcome up to the place has this label: the nearest that there are, are named."""

    def __init__(self, name: str, known: Iterable[str], position: int) -> None:
        super().__init__("label", name, known)
        self.happened = f'No outcome up to position {position} has the label "{name}".'
        self.remedy = "Correct the label's name, or choose a later --as-of."
        self.args = (f"{self.happened} {self.expected} {self.remedy}",)


class WindowTooLong(HarnessError):
    """No decision of the range has reached the window: nothing can be mature."""

    exit_code = 2

    def __init__(self, label: str, window: timedelta, oldest: timedelta) -> None:
        super().__init__(
            f"The window of label {label!r} is {window}, the oldest decision of the range is {oldest} old.",
            "Expected decisions as old as the window.",
            "Choose an earlier --from, a later --as-of, a shorter --window, or immature = censor or weight.",
        )
        self.label, self.window, self.oldest = label, window, oldest


class MemoryReached(HarnessError):
    """The ids of the range's decisions do not fit: their number is what a build holds."""

    def __init__(self, held: int, limit: int, position: int) -> None:
        super().__init__(
            f"The keys of the decisions up to position {position} take {held:,} bytes.",
            f"Expected {limit:,} or less.",
            "Cut the range in parts, or raise the limit with --memory.",
        )
        self.held, self.limit, self.position = held, limit, position


class BackfillUnusable(HarnessError):
    """Recomputed features that are absent, or not those that were declared."""

    exit_code = 2

    def __init__(self, happened: str, expected: str) -> None:
        super().__init__(
            happened, expected, "Name the table in [backfill] of the specification, or the set by its folder."
        )


class GatesFailed(HarnessError):
    """The set is not what its gates ask for: nothing was written."""

    exit_code = 30

    def __init__(self, findings: Sequence[str]) -> None:
        super().__init__(
            f"{len(findings)} of the gates failed: {' '.join(findings)}",
            "Expected every gate to hold; no set was written, and the log says so.",
            "Find out what happened to the feature, or leave those rows out by where.",
        )
        self.findings = tuple(findings)


class NotAnExtension(HarnessError):
    """A set continues to a later place only."""

    exit_code = 2

    def __init__(self, name: str, happened: str, expected: str) -> None:
        super().__init__(
            f"Training set {name} cannot be extended: {happened}", expected, "Choose a later --to."
        )
        self.name = name


class ErasedSince(HarnessError):
    """Rows of a set were erased since it was registered: the log alone can no longer show what it was."""

    exit_code = 30

    def __init__(self, name: str, erased: int, rows: int) -> None:
        super().__init__(
            f"Of {rows:,} rows of training set {name}, {erased:,} are erased by now, some of them since.",
            "Expected its files, to compare the other rows with.",
            'Verify its folder, or have a set without them: "harness training-set extend".',
        )
        self.name, self.erased, self.rows = name, erased, rows


class ErasedMeanwhile(HarnessError):
    """Somebody was erased while a set was cut: it would hold values of theirs that no receipt names.

    `columns` are those of persons; `erasures` of its range came meanwhile, the first at `position`.
    """

    def __init__(self, name: str, position: int, erasures: int, columns: Sequence[str]) -> None:
        super().__init__(
            f"While training set {name} was cut, somebody in its range was erased: "
            f"the receipt is at position {position}, the first of {erasures} that came meanwhile.",
            "Expected nobody to be: their values would stay in its files, which the receipt does not name.",
            "Nothing was written. Run the same command again: it cuts a set without them. If that does not "
            "end, persons are erased more often than a set takes: let erasures wait while it runs, cut "
            f"shorter ranges, or leave out {', '.join(columns)}: without columns of persons none is refused.",
        )
        self.name, self.position = name, position
        self.erasures, self.columns = erasures, tuple(columns)


class RowNotFound(HarnessError):
    """A decision that is not in the set."""

    exit_code = 2

    def __init__(self, name: str, decision_id: str) -> None:
        super().__init__(
            f"Training set {name} has no decision {decision_id!r}.",
            "Expected the id of one of its rows.",
            'See "harness training-set show" for what was left out, and why.',
        )
        self.name, self.decision_id = name, decision_id


class RowProofInvalid(HarnessError):
    """A proof of a row that does not hold: trust nothing that rests on it."""

    exit_code = 40

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The proof does not hold: {reason}.",
            "Expected a row that leads to the root of its set.",
            'Have it made anew: "harness training-set prove".',
        )
        self.reason = reason


class StateOfAnother(HarnessError):
    """A loader's state of another set, or of rows in another order."""

    exit_code = 2

    def __init__(self, key: str, found: str, expected: str) -> None:
        super().__init__(
            f"The state is of {key} {found[:16]}.",
            f"Expected {key} {expected[:16]}.",
            "Load the state into the set and the seed that it was saved from, or begin anew.",
        )
        self.key, self.found = key, found


class FrameworkMissing(HarnessError):
    """A hand-off needs a package that is not installed."""

    exit_code = 2

    def __init__(self, package: str, wanted: str) -> None:
        super().__init__(
            f"{wanted} needs the package {package}, which cannot be imported.",
            f"Expected {package} in this environment.",
            f"Install it: pip install {package}",
        )
        self.package = package
