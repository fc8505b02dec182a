"""`mlflow:models:/name@alias`: a pyfunc model; the alias is resolved once, and its files are the artefact."""

import os
import tempfile
from pathlib import Path
from typing import Any

from replay.adapters.adapter import Artefact, Loaded
from replay.adapters.bundle import BUNDLE, folder_files, pack, unpack, write_files
from replay.adapters.matrix_model import loaded_by
from replay.adapters.pickled import require_pin
from replay.adapters.python import call_of, column_of
from replay.adapters.uri import ModelUri
from replay.loading_errors import LibraryMissing, ModelNotLoaded, ModelNotServed

VERSION = 1
_MODEL = "MLmodel"
# Flavors whose own formats are data. All others load code or a pickle, whatever their files are called.
_DATA_ONLY = ("mlflow.lightgbm", "mlflow.onnx", "mlflow.xgboost")
# And of those that say which class they are, these are made by their library's own format alone.
_CLASSES = {"lightgbm": "lightgbm.basic.Booster", "xgboost": "xgboost."}


def read(uri: ModelUri, folder: Path | None) -> tuple[str, bytes]:
    """Return the version that the URI means now and the files of that version; nothing of them is run.

    Raises:
        ModelNotServed: the registry has no such model, or does not answer.
        ModelNotLoaded: no MLmodel file in it.
    """
    local = Path(folder or ".") / uri.target
    if local.is_dir():
        name, files = uri.target, folder_files(local)
    else:
        name, files = _fetched(uri)
    if _MODEL not in files:
        raise ModelNotLoaded(uri.text, f"no file {_MODEL} in it")
    return f"{name}{BUNDLE}", pack(uri.text, files)


def _fetched(uri: ModelUri) -> tuple[str, dict[str, bytes]]:
    try:
        import mlflow
    except ImportError as error:
        raise LibraryMissing(uri.text, str(error.name), "mlflow") from error
    resolved = uri.target
    name, at, alias = uri.target.removeprefix("models:/").partition("@")
    try:
        if at:
            version = mlflow.MlflowClient().get_model_version_by_alias(name, alias).version
            resolved = f"models:/{name}/{version}"
        with tempfile.TemporaryDirectory(prefix="harness-mlflow-") as place:
            fetched = mlflow.artifacts.download_artifacts(artifact_uri=resolved, dst_path=place)
            return resolved, folder_files(Path(fetched))
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise ModelNotServed(uri.text, str(error)) from error


def load(uri: ModelUri, held: Artefact, _inputs: tuple[str, ...] | None) -> Loaded:
    """Return the model; its signature names its inputs.

    Raises:
        PickleRefused: it runs code or a pickle, and the URI does not pin its digest.
    """
    files = unpack(uri.text, held.content)
    runs = _runs(files[_MODEL].decode(errors="replace"))
    if runs or any(name.startswith("code/") for name in files):
        require_pin(uri, held, runs or ["what is in code"])
        os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "true"
    try:
        import mlflow.pyfunc
    except ImportError as error:
        raise LibraryMissing(uri.text, str(error.name), "mlflow") from error
    place = Path(tempfile.mkdtemp(prefix="model-"))
    write_files(files, place)
    model: Any = loaded_by(uri, "mlflow", mlflow.pyfunc.load_model, str(place))
    schema = model.metadata.get_input_schema()
    own = schema.input_names() if schema is not None and schema.has_input_names() else None
    call = call_of(uri, _Predicts(model), column_of(uri))
    return Loaded(None if own is None else tuple(own), call)


class _Predicts:
    """The one method of a pyfunc model that scores."""

    def __init__(self, model: Any) -> None:
        self.predict = model.predict


def _runs(text: str) -> list[str]:
    """Return what loading would run beside data, read as MLflow reads it; empty when there is nothing.

    A flavor may name a folder of code, whatever it is called: it is searched before all libraries.
    """
    import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own

    try:
        flavors = yaml.safe_load(text)["flavors"]
        loader = str(flavors["python_function"]["loader_module"])
        folders = [f"what is in {flavor['code']}" for flavor in flavors.values() if flavor.get("code")]
        classes = [str(flavors.get(name, {}).get("model_class", own)) for name, own in _CLASSES.items()]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return ["(none named)"]
    foreign = [name for name, own in zip(classes, _CLASSES.values(), strict=True) if not name.startswith(own)]
    return [*([] if loader in _DATA_ONLY else [loader]), *folders, *foreign]
