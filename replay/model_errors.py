"""What can go wrong with a model. One class per remedy; the values are attributes.

ReplayError (replay/errors.py)
└── ModelError
    ├── UnknownModelUri     no adapter for it, or an option that the adapter does not know (exit 2)
    ├── (replay/loading_errors.py: what is there, and cannot be used here)
    ├── ModelNotFound       the module, attribute or file is not there
    ├── NotAModel           an object without predict_proba, predict or score
    ├── RemembersNothing    a key for an object that cannot observe, snapshot and restore
    ├── UntrustedModel      a file that holds types outside our allow-list (exit 40)
    ├── PickleRefused       code in the form of a file, that nobody pinned  (exit 40)
    ├── ModelUnavailable    the server or process that scores does not answer
    ├── ModelChanged        the bytes are not those that were registered  (exit 40)
    ├── AdapterChanged      the same bytes, which would be given their rows in another way  (exit 2)
    ├── ModelInputsError    features that no recorded snapshot has
    ├── KeyNotOneValue      a model that is to remember by lists (exit 2)
    ├── StateLost           a model that remembers could not take in, give or take back what it knows
    └── ModelBroken         it raised for every row of the first block
        └── ChallengerEnded its process had to be ended too often: the circuit is open
"""

# ruff: noqa: N818  # as in replay/errors.py

from collections.abc import Mapping, Sequence

from recorders.errors import HarnessError
from replay.errors import ReplayError


class ModelError(ReplayError):
    """Base of what is wrong with a model."""


class UnknownModelUri(ModelError):
    """Write the URI as docs/models.md shows it."""

    exit_code = 2

    def __init__(self, uri: str, happened: str, expected: str) -> None:
        super().__init__(
            f"Model URI {uri!r}: {happened}.",
            f"Expected {expected}.",
            'Write it as "py:module:attr", "sklearn:file.skops", "onnx:file.onnx" '
            "or as another of docs/models.md.",
        )
        self.uri = uri


class ModelNotFound(ModelError):
    """Put the module or the file where the URI says."""

    def __init__(self, uri: str, missing: str) -> None:
        super().__init__(
            f"Model {uri!r} was not found: {missing}.",
            "Expected a module that can be imported with that attribute, or a readable file.",
            "Correct the path, or run the command in the folder that holds it.",
        )
        self.uri, self.missing = uri, missing


class NotAModel(ModelError):
    """Give the object a method that scores."""

    def __init__(self, uri: str, found: str, methods: Sequence[str]) -> None:
        super().__init__(
            f"Model {uri!r} is a {found} without {' or '.join(methods)}.",
            "Expected a callable f(DataFrame), or an object with predict_proba, predict or score.",
            "Point the URI at such an object, or name its method with ?method=.",
        )
        self.uri, self.found, self.methods = uri, found, tuple(methods)


class RemembersNothing(ModelError):
    """Give the object the methods of a model that remembers, or leave out its key."""

    def __init__(self, uri: str, found: str, lacking: Sequence[str]) -> None:
        super().__init__(
            f"Model {uri!r} has a key, and its {found} lacks {', '.join(lacking)}.",
            "Expected observe(rows), snapshot() -> bytes and restore(bytes) beside the method that scores.",
            "Write these methods, or leave ?key= out of the URI.",
        )
        self.uri, self.found, self.lacking = uri, found, tuple(lacking)


class UntrustedModel(ModelError):
    """The file wants types or content that we do not load; nothing of it was run."""

    exit_code = 40

    def __init__(self, uri: str, refused: Sequence[str]) -> None:
        super().__init__(
            f"Model {uri!r} is refused, nothing of it was run: {', '.join(refused)}.",
            "Expected only the types of our own allow-list (replay/adapters/allowed.py), with sound content.",
            "Train it with estimators of that list, or wrap it as a module you install (py:module:attr).",
        )
        self.uri, self.refused = uri, tuple(refused)


class PickleRefused(ModelError):
    """To load it is to run it: pin its digest, or give the model in a form that is data."""

    exit_code = 40

    def __init__(self, uri: str, digest: str, would_import: Sequence[str]) -> None:
        super().__init__(
            f"Model {uri!r} runs code when it is loaded ({', '.join(would_import) or 'unreadable'}); "
            "nothing of it was run.",
            f"Expected its digest in the URI, pickle={digest}, as your word that you trust whoever made it.",
            "Add it, or export the model as onnx:, sklearn: (skops), lightgbm:, xgboost: or safetensors.",
        )
        self.uri, self.digest, self.would_import = uri, digest, tuple(would_import)


class ModelUnavailable(ModelError):
    """What scores does not answer: no row is to blame, and none is marked."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"Model {name!r} does not answer: {reason}.",
            "Expected the server that its URI names.",
            "Start it, or mend what it says, and run the same command again: it goes on where it was.",
        )
        self.name, self.reason = name, reason


class ModelChanged(ModelError):
    """The artefact is not the registered one: register it under a new version."""

    exit_code = 40

    def __init__(self, uri: str, registered: str, found: str) -> None:
        super().__init__(
            f"Model {uri!r} has digest {found[:12]}, it was registered with {registered[:12]}.",
            "Expected the bytes that were registered: scores of other bytes are another model's scores.",
            'Restore the file, or register the new one under a new version ("harness model add").',
        )
        self.uri, self.registered, self.found = uri, registered, found


class AdapterChanged(ModelError):
    """The same bytes, which would be given their rows otherwise: register them under a new version."""

    exit_code = 2

    def __init__(self, reference: str, uri: str, adapter: str, versions: tuple[int, int]) -> None:
        then, now = versions
        super().__init__(
            f"Model {reference} was registered for version {then} of the adapter {adapter!r}. This program "
            f"has version {now}, which gives the same bytes their rows in another way.",
            "Expected a model registered for this version. What was scored before stays in the log, as the "
            "scores of another model.",
            f"Register it once more, under a new version (harness model add {uri!r} --name ... --version "
            "...), and anew the experiments that name the old one.",
        )
        self.reference, self.uri, self.adapter = reference, uri, adapter
        self.then, self.now = then, now


class ModelInputsError(ModelError):
    """Choose inputs that were recorded."""

    def __init__(self, inputs: Sequence[str], known: Sequence[str]) -> None:
        super().__init__(
            f"The model wants {', '.join(map(repr, inputs))}, which no recorded snapshot holds.",
            f"Expected inputs out of: {', '.join(known) or '(no features recorded)'}.",
            "Register the model with --inputs naming recorded features, or choose another range.",
        )
        self.inputs, self.known = tuple(inputs), tuple(known)


class KeyNotOneValue(ModelError):
    """A key is a list of numbers: no two rows are told to be of one key by it."""

    exit_code = 2

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The model remembers by {key!r}, whose values are lists.",
            "Expected a key of one value: a text, a number, a time.",
            "Register it with another key, or have the service record one.",
        )
        self.key = key


class StateLost(ModelError):
    """A model that remembers failed while it did: nobody can say what it knows now."""

    def __init__(self, name: str, doing: str, reason: str) -> None:
        super().__init__(
            f"Model {name!r} failed in {doing}(): {reason}.",
            "Expected a model that takes in every row that has its inputs: they decide its next scores.",
            "What it scored before is kept. Mend it and register it under a new version.",
        )
        self.name, self.doing, self.reason = name, doing, reason


class ModelBroken(ModelError):
    """The model raises whatever it is given: nothing was scored."""

    def __init__(self, name: str, rows: int, error: str) -> None:
        super().__init__(
            f"Model {name!r} raised for each of the first {rows} rows: {error}.",
            "Expected at least one row of the first block to be scored.",
            "Try the model on rows of a training set of this decision point; no score was written.",
        )
        self.name, self.rows, self.error = name, rows, error


class ChallengerEnded(ModelBroken):
    """The challenger hangs, crashes or swells again and again: it was stopped for good."""

    def __init__(self, name: str, blocks: int, kills: Mapping[str, int], last: str) -> None:
        HarnessError.__init__(
            self,
            f"Model {name!r} was stopped after {sum(kills.values())} ends of its process in {blocks} blocks "
            f"({', '.join(f'{count} {reason}' for reason, count in sorted(kills.items()))}): {last}.",
            "Expected a model that answers: what it scored before is kept, the rest was not asked for.",
            'Try it with "harness model check", mend it and register it under a new version.',
        )
        self.name, self.blocks, self.kills, self.error = name, blocks, dict(kills), last
