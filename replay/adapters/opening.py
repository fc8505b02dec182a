"""Opening a model: from its URI to something that scores, with the digest checked on the way."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa

from recorders.canonical import canonical_json, digest
from replay.adapters import (
    http_json,
    lightgbm,
    mlflow,
    oip,
    onnx,
    pickled,
    program,
    python,
    sklearn,
    torch,
    xgboost,
)
from replay.adapters.adapter import Adapter, Artefact, Loaded
from replay.adapters.answers import Answer, Output
from replay.adapters.block_model import BlockModel
from replay.adapters.in_order import WAVE_ROWS
from replay.adapters.recorded import RecordedModel
from replay.adapters.remembering import RememberingBlocks
from replay.adapters.uri import ModelUri, parse_uri
from replay.loading_errors import InputsNotNamed, KeyNotAnInput
from replay.model import Model, ModelInfo
from replay.model_errors import AdapterChanged, ModelChanged, UntrustedModel
from replay.score import BLOCK_ROWS

ADAPTERS: Mapping[str, Adapter] = {
    "py": python,
    "sklearn": sklearn,
    "onnx": onnx,
    "lightgbm": lightgbm,
    "xgboost": xgboost,
    "torch": torch,
    "mlflow": mlflow,
    "pickle": pickled,
    "oip+http": oip,
    "oip+https": oip,
    "http+json": http_json,
    "https+json": http_json,
    "exec": program,
}
# What only a challenger's own process may load: to load it is to run it.
CONTAINED = frozenset({"exec", "mlflow", "pickle", "torch"})


class ModelSpec(msgspec.Struct, frozen=True):
    """What to open, and what its registration says of it.

    `inputs` None: the names that the model itself carries (`feature_names_in_`, an attribute `inputs`).
    """

    uri: str
    name: str | None = None
    version: str = "0"
    inputs: tuple[str, ...] | None = None
    trained_until: int | None = None


def read_artefact(uri: str, folder: Path | None = None) -> Artefact:
    """Return the bytes behind a model URI: a file, a module's source, or nothing for `recorded:`.

    Raises:
        UnknownModelUri, ModelNotFound, UntrustedModel: see there.
    """
    parsed = parse_uri(uri)
    if parsed.scheme == "recorded":
        return Artefact(hashlib.sha256(b"").hexdigest(), b"")
    path, content = ADAPTERS[parsed.scheme].read(parsed, folder)
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
    """Return the model that `uri` names, ready to score in this very process, without any isolation.

    `artefact` (already read, or from a store) is loaded instead of what `uri` points at now. See
    `replay.isolation.open_isolated` for a model of a stranger.

    Raises:
        UnknownModelUri, ModelNotFound, NotAModel, UntrustedModel: see there.
        InputsNotNamed: nobody says which features the model wants.
    """
    spec = ModelSpec(uri, name, version, None if inputs is None else tuple(inputs), trained_until)
    parsed = parse_uri(uri)
    held = artefact or read_artefact(uri, folder)
    if parsed.scheme == "recorded":
        return RecordedModel(info_of(spec, held, ()))
    if parsed.scheme in CONTAINED:
        raise UntrustedModel(uri, [f"{parsed.scheme}: runs what it loads, outside a process of its own"])
    loaded = load(spec, held)
    model = block_model(info_of(spec, held, inputs_of(spec, loaded.inputs)), loaded.call)
    if parsed.key is None or loaded.memory is None:
        return model
    check_key(uri, parsed.key, model.info.inputs)
    return RememberingBlocks(model, parsed.key, loaded.memory)


def load(spec: ModelSpec, held: Artefact) -> Loaded:
    """Return the model of `held` in this process.

    Raises:
        ModelError: see `open_model`.
    """
    parsed = parse_uri(spec.uri)
    return ADAPTERS[parsed.scheme].load(parsed, held, spec.inputs)


def block_model(info: ModelInfo, call: Callable[[pa.RecordBatch], Answer]) -> BlockModel:
    """Return the model that answers by `call`, in this process or in another."""
    parsed = parse_uri(info.uri)
    rows = BLOCK_ROWS if parsed.key is None else WAVE_ROWS
    return BlockModel(info, call, output=Output.of(parsed.options), nulls=parsed.nulls, rows=rows)


def inputs_of(spec: ModelSpec, own: Sequence[str] | None) -> tuple[str, ...]:
    """Return the inputs: those of the registration, else the model's own.

    Raises:
        InputsNotNamed: neither names any.
    """
    wanted = tuple(spec.inputs if spec.inputs is not None else own or ())
    if not wanted:
        raise InputsNotNamed(spec.uri)
    return wanted


def check_key(uri: str, key: str, inputs: Sequence[str]) -> None:
    """Raise KeyNotAnInput unless the key of a model that remembers is one of its inputs."""
    if key not in inputs:
        raise KeyNotAnInput(uri, key, inputs)


def check_digest(model: Model, registered: str) -> None:
    """Raise ModelChanged unless the opened model has the digest that was registered."""
    if model.info.digest != registered:
        raise ModelChanged(model.info.uri, registered, model.info.digest)


def check_adapter(registered: ModelInfo, held: Artefact) -> None:
    """Raise AdapterChanged where these bytes were registered for an earlier version of their adapter."""
    parsed = parse_uri(registered.uri)
    now = _version_of(parsed.scheme)
    for then in range(1, now):
        if _digest(parsed, registered.version, held, registered.inputs, adapter=then) == registered.digest:
            reference = f"{registered.name}:{registered.version}"
            raise AdapterChanged(reference, registered.uri, parsed.scheme, (then, now))


def info_of(spec: ModelSpec, held: Artefact, inputs: tuple[str, ...]) -> ModelInfo:
    """Return the info, with the digest of all that decides the scores: not the file's path or name."""
    parsed = parse_uri(spec.uri)
    return ModelInfo(
        name=spec.name or parsed.target,
        version=spec.version,
        digest=_digest(parsed, spec.version, held, inputs, adapter=_version_of(parsed.scheme)),
        adapter=parsed.scheme,
        uri=spec.uri,
        inputs=inputs,
        trained_until=spec.trained_until,
    )


def _digest(uri: ModelUri, version: str, held: Artefact, inputs: tuple[str, ...], *, adapter: int) -> str:
    """Return the digest of a model that version `adapter` of its adapter gives its rows."""
    identity = {
        # The first version is not spelled: it came before there was another one.
        "adapter": uri.scheme if adapter == 1 else f"{uri.scheme}/{adapter}",
        "artefact": held.digest,
        "attribute": _beside(uri),
        "version": version if uri.scheme == "py" or uri.remote else None,
        "options": uri.options,
        "inputs": list(inputs),
    }
    return digest(canonical_json(identity))


def _version_of(scheme: str) -> int:
    return ADAPTERS[scheme].VERSION if scheme in ADAPTERS else 1


def _beside(uri: ModelUri) -> str | None:
    """Return what of the target decides the scores beside the artefact."""
    if uri.scheme == "py":
        return uri.target.partition(":")[2]
    return uri.target if uri.remote or uri.scheme == "exec" else None
