"""What can go wrong with models, replays and training sets. One class per remedy; the values are attributes.

HarnessError (recorders.errors)
├── ModelExists             another model under this name and version                      exit 2
├── TrainedInRange          the model learned from the decisions it is to be judged on     exit 30
├── NothingToScore          a range without decisions of this decision point               exit 2
├── MixedFeatureSets        a range with several schemas, none of them chosen              exit 2
├── FeatureSetUnregistered  snapshots whose schema the log does not know                   exit 2
├── FeatureUnknown          a feature that the chosen schema does not have                 exit 2
├── SliceOfNumbers          a slice column that holds numbers without levels            exit 2
├── BudgetSpent             a run that ended where its budget did; it goes on from there    exit 75
├── ScoredOtherwise         another process scored the same decisions at once, otherwise    exit 1
├── TooManyTails            more models to follow than the server has connections for       exit 2
├── EmptyTrainingSet        no decision counts; why is in the counts                       exit 1
├── ExportFailed            files could not be written; nothing half-written is left       exit 1
├── FolderTaken             something else is where the training set should be             exit 2
├── StateAltered            what a model knew is kept in other bytes than were named        exit 40
├── ManifestUnreadable      a manifest that is damaged or of another format                exit 40
└── TrainingSetDiffers      the log or the files give other values than were registered    exit 40
"""

# ruff: noqa: N818  # the names are the design's words; what derives from HarnessError is an error

from collections.abc import Iterable, Mapping
from pathlib import Path

from recorders.errors import HarnessError
from replay.model import ModelInfo


class ModelExists(HarnessError):
    """Another model, or another claim about it, stands under this name and version: count the version up."""

    exit_code = 2

    def __init__(self, name: str, version: str, registered: ModelInfo, found: ModelInfo) -> None:
        differing = [
            f"{field} {getattr(registered, field)!s:.60} registered, {getattr(found, field)!s:.60} here"
            for field in ModelInfo.__struct_fields__
            if field != "uri" and getattr(registered, field) != getattr(found, field)
        ]
        super().__init__(
            f"Model {name}:{version} is registered and differs: {'; '.join(differing)}.",
            "Expected one model for one version, with one trained-until position.",
            "Register this one under another version.",
        )
        self.name, self.version, self.registered, self.found = name, version, registered, found


class TrainedInRange(HarnessError):
    """INVALID: scores on what a model has learned say nothing about what it will do."""

    exit_code = 30

    def __init__(self, model: str, trained_until: int, start: int, stop: int) -> None:
        super().__init__(
            f"INVALID: {model} is trained until position {trained_until}; [{start}, {stop}) overlaps that.",
            f"Expected a range that starts after it, from position {trained_until + 1} on.",
            f"Replay from {trained_until + 1}, or use a model that is trained until {start - 1} or earlier.",
        )
        self.model, self.trained_until, self.start, self.stop = model, trained_until, start, stop


class NothingToScore(HarnessError):
    """The range holds no decision of this decision point."""

    exit_code = 2

    def __init__(self, decision_point: str, start: int, stop: int) -> None:
        super().__init__(
            f"No decision of {decision_point!r} lies in [{start}, {stop}).",
            "Expected at least one recorded decision.",
            'See "harness log stats" for what was recorded, and where.',
        )
        self.decision_point, self.start, self.stop = decision_point, start, stop


class BudgetSpent(HarnessError):
    """A run used what it was given: run it again, and it goes on where it ended."""

    exit_code = 75

    def __init__(self, reason: str, limit: float, used: float) -> None:
        unit = {"time": "s", "cpu": "CPU s", "memory": "MB"}[reason]
        super().__init__(
            f"The budget of {limit:g} {unit} is spent: {used:.6g} were used. What was scored is in the log.",
            "Expected to be done with less.",
            f"Run the same command again to go on from there, or give it more (--max-{reason}).",
        )
        self.reason, self.limit, self.used = reason, limit, used


class StateAltered(HarnessError):
    """A kept state is not what was kept: without the file, it is observed again from the log."""

    exit_code = 40

    def __init__(self, path: str, through: int) -> None:
        super().__init__(
            f"The state at position {through:,} in {path} has other bytes than the log names.",
            "Expected the bytes that were kept: scores after them would be nobody's.",
            "Find out who changed the store, then delete the file: the state is made again from the log.",
        )
        self.path, self.through = path, through


class MixedFeatureSets(HarnessError):
    """Snapshots of several schemas: choose one, or cut the range where the schema changed."""

    exit_code = 2

    def __init__(self, found: Mapping[str, int]) -> None:
        listed = ", ".join(f"{name} ({rows:,} decisions)" for name, rows in found.items())
        super().__init__(
            f"The range holds snapshots of {len(found)} feature sets: {listed}.",
            "Expected one, since a column must mean one thing.",
            f"Choose one with --feature-set {next(iter(found))}, or as feature_set of a set's specification, "
            "whose [[changes]] may make others one with it. What is left is left out.",
        )
        self.found = dict(found)


class FeatureSetUnregistered(HarnessError):
    """The range holds snapshots whose schema was never registered: nobody can say what they mean."""

    exit_code = 2

    def __init__(self, decision_point: str, schema_digest: str, rows: int) -> None:
        super().__init__(
            f"{rows:,} snapshots of {decision_point!r} are of feature set {schema_digest[:12]}, "
            "which is not registered.",
            "Expected every feature set to be registered before it is recorded with.",
            "Register it (Log.register_feature_set), then run the same command again.",
        )
        self.decision_point, self.schema_digest, self.rows = decision_point, schema_digest, rows


class FeatureUnknown(HarnessError):
    """A feature, or a column to select rows by, that these snapshots do not have."""

    exit_code = 2

    def __init__(self, names: Iterable[str], known: Iterable[str]) -> None:
        self.names, self.known = tuple(names), tuple(known)
        super().__init__(
            f"The snapshots have no {', '.join(map(repr, self.names))}.",
            f"Expected names out of: {', '.join(self.known)}.",
            "Correct the name, or choose the feature set that has it.",
        )


class SliceOfNumbers(HarnessError):
    """Slices are levels, and a column of numbers has none. Record a category, cut where it matters."""

    exit_code = 2

    def __init__(self, column: str, found: str) -> None:
        super().__init__(
            f'The slice column "{column}" holds {found}.',
            "Expected a category, text, true or false, or whole numbers.",
            "Record a category for it, cut where it matters, and register a new experiment.",
        )
        self.column = column
        self.found = found


_IMMATURE = "Widen the range, choose a later --as-of, or check the label's name and window."
_EXCLUDED = "Check what where asks for, and which feature set was chosen: they leave out what is excluded."


class ScoredOtherwise(HarnessError):
    """Two processes scored one run at once, and their scores differ: its model does not repeat itself."""

    def __init__(self, model: str, group: int) -> None:
        super().__init__(
            f"Another process scores this run of {model} too, and stored other scores as group {group}.",
            "Expected the same scores of the same decisions: its model depends on chance or surroundings.",
            'Run the same command again: it goes on behind what is stored. "harness model check" says what '
            "the model repeats.",
        )
        self.model, self.group = model, group


class TooManyTails(HarnessError):
    """More models are to be followed at once than the server has connections for, beside those who record."""

    exit_code = 2

    def __init__(self, models: int, most: int, connections: int) -> None:
        super().__init__(
            f"{models} models are to be followed at once; this server has room for {most}.",
            f"Expected no more: each holds 3 of its {connections} connections, and a third of all is left to "
            "those who record.",
            'Follow fewer and score the others with "harness replay run", or raise max_connections of a '
            "PostgreSQL of your own.",
        )
        self.models, self.most, self.connections = models, most, connections


class EmptyTrainingSet(HarnessError):
    """No decision of the range counts: the reasons say why."""

    def __init__(self, counts: Mapping[str, int], label: str) -> None:
        reasons = ", ".join(f"{rows:,} {reason}" for reason, rows in counts.items() if rows)
        excluded = 0 < counts.get("decisions", 0) == counts.get("excluded", 0)
        super().__init__(
            f"None of the decisions has a mature label {label!r}: {reasons or 'there are none'}.",
            "Expected at least one row.",
            _EXCLUDED if excluded else _IMMATURE,
        )
        self.counts = dict(counts)


class ExportFailed(HarnessError):
    """Files could not be written. What was begun is removed, the log is untouched."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"Writing {folder} failed: {reason}.",
            "Expected room for the whole set; what was begun is removed, nothing is registered.",
            "Free some space or choose another folder with --out, then run the same command again.",
        )
        self.folder, self.reason = folder, reason


class FolderTaken(HarnessError):
    """Something else is where the training set should be written."""

    exit_code = 2

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"The folder {folder} holds something else already.",
            "Expected no such folder, an empty one, or the same training set.",
            "Choose another folder with --out.",
        )
        self.folder = folder


class TrainingSetDiffers(HarnessError):
    """What the log or the files hold now is not what was registered."""

    exit_code = 40

    def __init__(self, name: str, what: str, registered: str, found: str) -> None:
        super().__init__(
            f"{what} of training set {name} gives {found[:16]}.",
            f"Expected {registered[:16]}, as registered.",
            'Run "harness log verify"; if it holds, write the files anew ("harness training-set export").',
        )
        self.name, self.what, self.registered, self.found = name, what, registered, found


class ManifestUnreadable(HarnessError):
    """The manifest is damaged, or not one of ours."""

    exit_code = 40

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The manifest {path} cannot be used: {reason}.",
            "Expected the JSON object that was written with the training set.",
            'Move the folder away, and write it anew: "harness training-set list" has the ids for '
            '"harness training-set export ID --out FOLDER".',
        )
        self.path, self.reason = path, reason
