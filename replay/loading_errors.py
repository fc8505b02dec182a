"""Why a model that a URI names cannot be used here. One class per remedy; the values are attributes.

ModelError (replay/model_errors.py)
├── ModelNotLoaded      it is there, and its library or its source says no
├── ModelNotServed      the server or registry of its URI does not answer, or does not know it
├── LibraryMissing      the extra of its adapter is not installed
├── InputsNotNamed      neither the model nor its registration says which features it reads
├── KeyNotAnInput       it remembers by a feature that it does not read
└── PinnedOtherwise     its file is not the one that the URI pins  (exit 40)
"""

# ruff: noqa: N818  # as in replay/errors.py

from collections.abc import Sequence

from replay.model_errors import ModelError


class ModelNotLoaded(ModelError):
    """Correct what loading it says."""

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(
            f"Model {uri!r} is there, and cannot be loaded: {reason}.",
            "Expected a file as its library wrote it, or source that runs, within a challenger's limits.",
            "Correct what it says. docs/models.md shows one of each kind; limits are in [challengers] of "
            "harness.toml.",
        )
        self.uri, self.reason = uri, reason


class ModelNotServed(ModelError):
    """Start what serves it, or correct the address."""

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(
            f"Model {uri!r} was not found where its URI points: {reason}.",
            "Expected a server, or a registry of MLflow, that answers and knows it.",
            "Start it or correct the URI; MLFLOW_TRACKING_URI says where the registry is.",
        )
        self.uri, self.reason = uri, reason


class LibraryMissing(ModelError):
    """Install the extra."""

    def __init__(self, uri: str, library: str, extra: str) -> None:
        super().__init__(
            f"Model {uri!r} needs {library}, which is not installed.",
            f"Expected what the extra [{extra}] brings.",
            f"Run: pip install 'shadow-harness[{extra}]'.",
        )
        self.uri, self.library, self.extra = uri, library, extra


class InputsNotNamed(ModelError):
    """Name the features that the model reads."""

    exit_code = 2

    def __init__(self, uri: str) -> None:
        super().__init__(
            f"Model {uri!r} does not say which features it reads.",
            "Expected recorded features, in the order of its columns.",
            "Name them: --inputs amount,country.",
        )
        self.uri = uri


class KeyNotAnInput(ModelError):
    """Let the model remember by a feature that it reads."""

    exit_code = 2

    def __init__(self, uri: str, key: str, inputs: Sequence[str]) -> None:
        super().__init__(
            f"Model {uri!r} remembers by {key!r}, which it does not read.",
            f"Expected one of its inputs: {', '.join(inputs)}.",
            "Name one of these after ?key=, or add the key to the inputs.",
        )
        self.uri, self.key, self.inputs = uri, key, tuple(inputs)


class PinnedOtherwise(ModelError):
    """It is not the file that was pinned; nothing of it was run."""

    exit_code = 40

    def __init__(self, uri: str, found: str) -> None:
        super().__init__(
            f"Model {uri!r} is another file than the one it pins; nothing of it was run.",
            f"Expected the pinned digest, found {found}.",
            "Restore the pinned file. Pin this one only if you know who made it, and why.",
        )
        self.uri, self.found = uri, found
