"""What can go wrong in replay. One class per remedy; the values are attributes.

HarnessError
└── ReplayError
    ├── ColumnsError            the columns handed over are not those that the function names
    ├── NotOneValue             a type that has no canonical bytes
    ├── SplitUnusable           a split that lacks what its kind needs  (exit 2)
    ├── WeightsUnusable         weights that the log cannot give  (exit 2)
    ├── TooFewEffective         weights that leave too little to learn from  (exit 30)
    ├── EvolutionUnresolved     feature sets that differ, and nobody said how they go together  (exit 2)
    ├── RetypeFailed            a cast between versions that would lose something  (exit 2)
    ├── EntitiesUnusable        an entity table without the columns of an as-of join  (exit 2)
    ├── ToleranceUnknown        a tolerance that is none of ours  (exit 2)
    ├── ToleranceUnusable       a tolerance that is none of those there are  (exit 2)
    ├── ToleranceUnneeded       a tolerance of what is no number  (exit 2)
    ├── ScoresDisagree          scores that name other decisions than the log does  (exit 40)
    └── (replay/model_errors.py: what is wrong with a model)
"""

# ruff: noqa: N818  # the names are the design's words; what derives from HarnessError is an error

from collections.abc import Sequence

from recorders.errors import HarnessError


class ReplayError(HarnessError):
    """Base of what replay raises."""


class ColumnsError(ReplayError):
    """Hand over the columns that the function names."""

    exit_code = 2

    def __init__(
        self, happened: str, expected: str, remedy: str = "Read the range with all columns of its kind."
    ) -> None:
        super().__init__(happened, expected, remedy)


class NotOneValue(ReplayError):
    """Cast the column to a field type before asking for its digest."""

    exit_code = 2

    def __init__(self, column: str, found: str) -> None:
        super().__init__(
            f"Column {column!r} has type {found}, which has no canonical bytes.",
            "Expected float64, int64, bool, string, binary, timestamp[us, tz=UTC] or list<float64>.",
            "Cast the column first.",
        )
        self.column, self.found = column, found


class ToleranceUnknown(ReplayError):
    """Write the tolerance as one of the kinds."""

    exit_code = 2

    def __init__(self, found: str) -> None:
        super().__init__(
            f"{found!r} is no tolerance.",
            "Expected exact, decision, or absolute:X, relative:X, ulp:N or rank:X: from 0 on, N a whole one. "
            "X of rank is a share of the rows, at most 1.",
            "Write relative:1e-9, for example; rank:0.01 for places that differ by one in a hundred.",
        )
        self.found = found


class SplitUnusable(ReplayError):
    """Give the split what its kind needs."""

    exit_code = 2

    def __init__(self, by: str, found: str, expected: str) -> None:
        super().__init__(
            f"The split by {by} has {found}.", f"Expected {expected}.", "Correct the split of the set."
        )
        self.by, self.found = by, found


class WeightsUnusable(ReplayError):
    """Weights that the log cannot give: record what they need, or learn without them."""

    exit_code = 2

    def __init__(self, happened: str, expected: str) -> None:
        super().__init__(
            f"The weights cannot be used: {happened}", expected, "Correct the weights, or leave them out."
        )


class TooFewEffective(ReplayError):
    """The weights leave too little to learn from: explore more, take a longer range, or clip."""

    exit_code = 30

    def __init__(self, effective: float, wanted: float, rows: int) -> None:
        super().__init__(
            f"The {rows:,} rows are worth {effective:,.1f} rows of equal weight.",
            f"Expected {wanted:,.6g} or more (min_effective).",
            "Take a longer range, a target nearer to what was done, or a lower clip.",
        )
        self.effective, self.wanted, self.rows = effective, wanted, rows


class EvolutionUnresolved(ReplayError):
    """Say how the older snapshots become the chosen ones, field by field."""

    exit_code = 2

    def __init__(self, other: str, chosen: str, unresolved: Sequence[str]) -> None:
        super().__init__(
            f"Snapshots of {other} are not those of {chosen}: {'; '.join(unresolved)}.",
            "Expected a [[changes]] entry that says what became of each field.",
            "Complete the entry, or leave it out: the snapshots are excluded then, and counted.",
        )
        self.other, self.chosen, self.unresolved = other, chosen, tuple(unresolved)


class RetypeFailed(ReplayError):
    """A cast between versions would lose something: leave those snapshots out."""

    exit_code = 2

    def __init__(self, name: str, was: str, now: str, reason: str) -> None:
        super().__init__(
            f"Feature {name!r} cannot become {now} from {was}: {reason}.",
            "Expected values that the new type holds without loss.",
            "Put the feature into absent for that feature set, or leave its snapshots out.",
        )
        self.name, self.was, self.now = name, was, now


class EntitiesUnusable(ReplayError):
    """Hand over a table with the key and one instant a row."""

    exit_code = 2

    def __init__(self, happened: str, expected: str) -> None:
        super().__init__(happened, expected, "Correct the entity table.")


class ToleranceUnusable(ReplayError):
    """Name a tolerance that there is."""

    exit_code = 2

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} is no tolerance.",
            "Expected exact, ulp:<n>, abs:<x> or rel:<x>: finite numbers of at least 0, n a whole one.",
            "Write amount=abs:1e-9.",
        )
        self.text = text


class ToleranceUnneeded(ReplayError):
    """Only numbers can be near each other. Leave the tolerance of that feature out."""

    exit_code = 2

    def __init__(self, feature: str, kind: str) -> None:
        super().__init__(
            f"A tolerance is given for {feature!r}, which is no number but {kind}.",
            "Expected tolerances of numbers: anything else agrees exactly or not at all.",
            "Leave that one out.",
        )
        self.feature, self.kind = feature, kind


class ScoresDisagree(ReplayError):
    """Scores and decisions come from different logs, or one of them was altered."""

    exit_code = 40

    def __init__(self, position: int, decision_id: str, scored_id: str) -> None:
        super().__init__(
            f"The score for position {position} names {scored_id!r}; the log has {decision_id!r} there.",
            "Expected each score to echo the id of its decision.",
            'Check the log ("harness log verify") and replay again.',
        )
        self.position, self.decision_id, self.scored_id = position, decision_id, scored_id
