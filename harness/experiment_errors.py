"""What can go wrong with experiments. One class per remedy; the values are attributes.

HarnessError (recorders.errors)
├── TomlFileError (strict_toml)  a file with faults, all of them named              exit 2
├── ExperimentChanged            an id that names another experiment                exit 2
├── ExperimentUnreadable         a registration in a form that is not known here    exit 2
├── TrainedInWindow              a challenger that has seen the window              exit 30
├── LevelsOfPersons              levels that an erasure would not reach             exit 2
├── TrainingUnknown              a rival of which nobody said what it learned from  exit 2
├── LookRefused                  no look can be taken there                         exit 1
│   ├── WindowNotOpen            its window begins later
│   ├── LookBehind               a later look was taken already
│   ├── LookRaced                another look was taken at the same moment
│   ├── LooksExhausted           the registered number of looks is reached
│   └── ExperimentConcluded      its verdict is recorded
├── NoLook                       there is no look to decide on or to explain        exit 2
├── ApprovalRefused              a verdict that cannot be approved, or not again    exit 1
├── MetricAltered                a user's function has another source by now        exit 2
├── MetricFailed                 a user's function that cannot be used              exit 2
├── WealthDiffers                a ledger of wealth with another alpha or control   exit 2
├── WealthRaced                  every turn of a ledger was taken meanwhile         exit 1
├── WealthAltered                a level that the log does not give                 exit 40
└── LookAltered                  a stored look is not what the log gives            exit 40
"""

# ruff: noqa: N818  # the names are the design's words; what derives from HarnessError is an error

from collections.abc import Sequence
from datetime import datetime

from harness.errors import UsageError
from recorders.errors import HarnessError


class ExperimentChanged(UsageError):
    """An id that names another experiment. A change is a new experiment, with wealth and looks of its own."""

    def __init__(self, name: str, position: int, registered: str, found: str) -> None:
        super().__init__(
            f'Experiment "{name}" is registered at position {position} with digest {registered[:16]}; '
            f"this file has {found[:16]}.",
            "Expected the registered file: an experiment does not change once its data can be looked at.",
            "Give the changed file a new experiment id, or register the file as it was.",
        )
        self.name = name
        self.position = position
        self.registered = registered
        self.found = found


class LevelsOfPersons(UsageError):
    """Looks keep the levels of their slices and arms for ever. Name features that are nobody's."""

    def __init__(self, features: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(features)} of [slices], [arms] or [completeness] is kept encrypted.",
            "Expected features that are neither subject nor sensitive: the levels that a look names stay in "
            "the log when their person is erased.",
            "Name others.",
        )
        self.features = tuple(features)


class ExperimentUnreadable(UsageError):
    """A newer program registered it, or it only calls itself a registration. Read it with that program."""

    def __init__(self, name: str, position: int, why: str) -> None:
        super().__init__(
            f'Experiment "{name}", registered at position {position}, cannot be read: {why}.',
            "Expected a registration in a form that this program knows.",
            f'Use the program that registered it, or a later one ("harness log show {position}" has it).',
        )
        self.name, self.position, self.why = name, position, why


class TrainedInWindow(HarnessError):
    """A challenger may not be judged on decisions that it was trained on."""

    exit_code = 30

    def __init__(self, model: str, trained_until: int, start: int) -> None:
        super().__init__(
            f"The window begins at position {start}; {model} was trained up to position {trained_until}.",
            f"Expected a window that begins at {trained_until + 1} or later.",
            "Move the window, or train a challenger on earlier decisions.",
        )
        self.model = model
        self.trained_until = trained_until
        self.start = start


class TrainingUnknown(UsageError):
    """A proof of retraining compares models by what they have not seen. Register them with it."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"Nobody said what {model} learned from.",
            "Expected the last position that its training saw: a proof holds out what comes after.",
            'Register it anew with "harness model add ... --trained-until POSITION", under a new version.',
        )
        self.model = model


class LookRefused(HarnessError):
    """No look can be taken there."""


class WindowNotOpen(LookRefused):
    """The window begins after the position that was asked for. Wait, or look at a later position."""

    def __init__(self, name: str, start: str, position: int, time: datetime) -> None:
        super().__init__(
            f'The window of "{name}" begins at {start}; position {position} is at {time.isoformat()}.',
            "Expected a position at which the window has begun.",
            "Look again when the log has reached it.",
        )
        self.name = name
        self.start = start
        self.position = position


class LookBehind(LookRefused):
    """Looks follow each other in the log, so that each knows all earlier ones."""

    def __init__(self, name: str, position: int, newest: int) -> None:
        super().__init__(
            f'Position {position} lies before the newest look at "{name}", which is at {newest}.',
            f"Expected a position above {newest}.",
            "Use --dry-run to see the figures of an earlier position without taking a look.",
        )
        self.name = name
        self.position = position
        self.newest = newest


class LookRaced(LookRefused):
    """Another look was taken while this one was computed. Take the next one."""

    def __init__(self, name: str, number: int, position: int) -> None:
        super().__init__(
            f'Look {number} of "{name}" was taken at position {position} while this one was computed.',
            "Expected to be the only one to look at this moment.",
            f'See it with "harness experiment show {name}", and look again if you need a later one.',
        )
        self.name = name
        self.number = number
        self.position = position


class LooksExhausted(LookRefused):
    """The registered number of looks is reached. Register a new experiment to look on."""

    def __init__(self, name: str, max_looks: int) -> None:
        super().__init__(
            f'"{name}" has had all of its {max_looks} looks.',
            f"Expected at most max_looks = {max_looks}, as registered.",
            f'Record its verdict with "harness decide {name}", or register a new experiment.',
        )
        self.name = name
        self.max_looks = max_looks


class ExperimentConcluded(LookRefused):
    """Its verdict is recorded: what comes later cannot change it."""

    def __init__(self, name: str, state: str, position: int) -> None:
        super().__init__(
            f'"{name}" is concluded: the verdict {state} is recorded at position {position}.',
            "Expected an experiment without a final verdict.",
            f'See "harness verdict show {name}"; ask anew with a new experiment id.',
        )
        self.name = name
        self.state = state
        self.position = position


class NoLook(UsageError):
    """There is no look, or none there. Take one first."""

    def __init__(self, name: str, place: str = "") -> None:
        super().__init__(
            f'"{name}" has no look{place}.',
            "Expected a look that was taken.",
            f'Take one with "harness evaluate {name}", or see "harness experiment show {name}".',
        )
        self.name = name


class ApprovalRefused(HarnessError):
    """A verdict that cannot be approved, or that somebody approved before."""


class MetricAltered(UsageError):
    """The source of a registered function changed: what it gave once can no longer be had."""

    def __init__(self, name: str, path: str, registered: str, found: str) -> None:
        super().__init__(
            f"Metric {name} has source {found[:16]} in {path}.",
            f"Expected {registered[:16]}, as registered: a look is recomputed with the very function.",
            "Bring the registered source back, or register a new experiment with this one.",
        )
        self.name = name
        self.path = path
        self.registered = registered
        self.found = found


class MetricFailed(UsageError):
    """A function of the user's own that cannot be used as a metric: mend the function."""

    def __init__(self, name: str, happened: str, expected: str) -> None:
        super().__init__(
            f"Metric {name} cannot be used: {happened.rstrip('.')}.",
            f"Expected {expected}.",
            "Mend the function, or run the command in the folder that holds its module.",
        )
        self.name = name


class WealthDiffers(UsageError):
    """A ledger has one alpha and one control for all its candidates."""

    def __init__(
        self, ledger: str, position: int, opened: tuple[float, str], found: tuple[float, str]
    ) -> None:
        super().__init__(
            f'The ledger "{ledger}" was opened at position {position} with alpha {opened[0]:g} and control '
            f'"{opened[1]}"; this file has {found[0]:g} and "{found[1]}".',
            "Expected the alpha and the control that it was opened with.",
            "Take those over, or name a ledger of its own.",
        )
        self.ledger = ledger
        self.position = position
        self.opened = opened
        self.found = found


class WealthRaced(HarnessError):
    """Others took every turn that was tried. Nothing was drawn for this experiment: register it again."""

    def __init__(self, ledger: str, tries: int) -> None:
        super().__init__(
            f'Each of {tries} turns of the ledger "{ledger}" was taken by somebody else at the same moment.',
            "Expected a turn to be free.",
            "Register the experiment again.",
        )
        self.ledger = ledger
        self.tries = tries


class WealthAltered(HarnessError):
    """A level is not what the events before it give."""

    exit_code = 40

    def __init__(self, ledger: str, position: int, found: str, expected: str) -> None:
        super().__init__(
            f'The turn of the ledger "{ledger}" at position {position} says {found}.',
            f"Expected {expected} (turn, level, shown before, told in time), as recomputed from the log.",
            'Run "harness log verify" to see whether the log was altered.',
        )
        self.ledger = ledger
        self.position = position
        self.found = found
        self.expected = expected


class LookAltered(HarnessError):
    """What is stored is not what the log gives: one of the two was altered."""

    exit_code = 40

    def __init__(self, name: str, number: int, field: str, stored: str, recomputed: str) -> None:
        super().__init__(
            f'Look {number} of "{name}" differs from the log, first in {field}: it says {stored}.',
            f"Expected {recomputed}, as recomputed from the log.",
            'Run "harness log verify" to see whether the log or the look was altered.',
        )
        self.name = name
        self.number = number
        self.field = field
        self.stored = stored
        self.recomputed = recomputed
