"""Opening a model: from its URI to something that scores, with the digest checked on the way."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from recorders.canonical import canonical_json, digest
from replay.adapters import python, sklearn
from replay.adapters.frame_model import FrameModel, Output
from replay.adapters.recorded import RecordedModel
from replay.adapters.uri import ModelUri, parse_uri
from replay.errors import ModelChanged, ModelInputsError, NotAModel, UnknownModelUri
from replay.model import Model, ModelInfo


class Artefact(msgspec.Struct, frozen=True):
    """The bytes that a model is made of, read once: what is hashed is what is loaded."""

    digest: str
    content: bytes
    path: str = ""

    @property
    def suffix(self) -> str:
        """The file's ending, with its dot; empty when there is no file."""
        return Path(self.path).suffix


def read_artefact(uri: str, folder: Path | None = None) -> Artefact:
    """Return the bytes behind a model URI: the skops file, the module's source, or nothing for `recorded:`.

    Raises:
        UnknownModelUri, ModelNotFound, UntrustedModel: see there.
    """
    parsed = parse_uri(uri)
    if parsed.scheme == "py":
        path, content = python.source_of(parsed, folder)
    elif parsed.scheme == "sklearn":
        path, content = parsed.target, sklearn.read_file(parsed, folder)
    else:
        path, content = "", b""
    return Artefact(hashlib.sha256(content).hexdigest(), content, path)


def open_model(
    uri: str,
    *,
    name: str | None = None,
    version: str = "0",
    inputs: Sequence[str] | None = None,
    trained_until: int | None = None,
    artefact: Artefact | None = None,
    folder: Path | None = None,
) -> Model:
    """Return the model that `uri` names, ready to score.

    `artefact` (already read, or from a store) is loaded instead of what `uri` points at now. `inputs`
    default to the names that the model itself carries (`feature_names_in_`, or an attribute `inputs`).

    Raises:
        UnknownModelUri, ModelNotFound, NotAModel, UntrustedModel: see there.
        ModelInputsError: nobody says which features the model wants.
    """
    parsed = parse_uri(uri)
    held = artefact or read_artefact(uri, folder)
    known = (name or parsed.target, version, trained_until)
    if parsed.scheme == "recorded":
        return RecordedModel(_info(parsed, held, (), known))
    found: Any
    if parsed.scheme == "py":
        found = python.load_attribute(parsed, held.path, held.content, held.digest)
        own, column = getattr(found, "inputs", None), _index(parsed)
    else:
        found = sklearn.load_estimator(parsed, held.content)
        own, column = sklearn.inputs_of(found), sklearn.class_column(parsed, found)
        if not hasattr(found, "predict"):
            raise NotAModel(uri, type(found).__name__, ("predict",))
    wanted = tuple(inputs if inputs is not None else own or ())
    if not wanted:
        raise ModelInputsError(("(inputs not named)",), ())
    call = python.scorer_of(parsed, found)
    output = Output.of(parsed.options, column)
    nulls = parsed.options.get("nulls", "error")
    return FrameModel(_info(parsed, held, wanted, known), call, output=output, nulls=nulls)


def check_digest(model: Model, registered: str) -> None:
    """Raise ModelChanged unless the opened model has the digest that was registered."""
    if model.info.digest != registered:
        raise ModelChanged(model.info.uri, registered, model.info.digest)


def _index(uri: ModelUri) -> int | None:
    chosen = uri.options.get("class")
    if chosen is not None and not chosen.isdigit():
        raise UnknownModelUri(uri.text, f"class={chosen!r}", "the number of a column, from 0")
    return None if chosen is None else int(chosen)


def _info(
    uri: ModelUri, held: Artefact, inputs: tuple[str, ...], known: tuple[str, str, int | None]
) -> ModelInfo:
    """Return the info, with the digest of all that decides the scores: not the file's path or name."""
    name, version, trained_until = known
    identity = {
        "adapter": uri.scheme,
        "artefact": held.digest,
        "attribute": uri.target.partition(":")[2] if uri.scheme == "py" else None,
        "version": version if uri.scheme == "py" else None,
        "options": uri.options,
        "inputs": list(inputs),
    }
    return ModelInfo(
        name=name,
        version=version,
        digest=digest(canonical_json(identity)),
        adapter=uri.scheme,
        uri=uri.text,
        inputs=inputs,
        trained_until=trained_until,
    )
