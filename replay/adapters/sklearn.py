"""`sklearn:file.skops`: a scikit-learn model from a file that is data, against our own allow-list."""

import io
import json
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

from replay.adapters.adapter import Artefact, Loaded, read_file
from replay.adapters.allowed import ALLOWED_NODES, ALLOWED_TYPES
from replay.adapters.python import call_of
from replay.adapters.trees import unsound_trees
from replay.adapters.uri import ModelUri
from replay.loading_errors import LibraryMissing, ModelNotLoaded
from replay.model_errors import NotAModel, UnknownModelUri, UntrustedModel

VERSION = 1
read = read_file
CONTENT_BYTES_MAX = 2 * 2**30
_SCHEMA = "schema.json"


def load(uri: ModelUri, held: Artefact, _inputs: tuple[str, ...] | None) -> Loaded:
    """Return the estimator as a model; it names the features that it was fitted with."""
    found = load_estimator(uri, held.content)
    column = class_column(uri, found)
    if not hasattr(found, "predict"):
        raise NotAModel(uri.text, type(found).__name__, ("predict",))
    return Loaded(inputs_of(found), call_of(uri, found, column))


def load_estimator(uri: ModelUri, content: bytes) -> Any:
    """Return the estimator that `content` describes; nothing outside our allow-list is ever built.

    What is checked before anything is built: size, node kinds, types. Before anything is called: trees.

    Raises:
        UntrustedModel: types, nodes or content that we do not load, all of them named.
        LibraryMissing: scikit-learn or skops is not installed.
        ModelNotLoaded: another version made the file.
    """
    types, refused = named_parts(uri, content)
    if refused:
        raise UntrustedModel(uri.text, refused)
    try:
        import skops.io
        from sklearn.exceptions import InconsistentVersionWarning
    except ImportError as error:
        raise LibraryMissing(uri.text, str(error.name), "sklearn") from error
    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            # Only what the file names: skops looks each node up in this list, and a forest has thousands.
            model = skops.io.loads(content, trusted=types)
        except InconsistentVersionWarning as warning:
            made, here = warning.original_sklearn_version, warning.current_sklearn_version
            reason = f"scikit-learn {made} made it and {here} is installed, which may score otherwise"
            raise ModelNotLoaded(uri.text, reason) from warning
        except (ValueError, TypeError, KeyError, AttributeError, ImportError, OSError) as error:
            raise UntrustedModel(uri.text, [f"content that does not load ({error})"]) from error
    unsound = unsound_trees(model)
    if unsound:
        raise UntrustedModel(uri.text, sorted(set(unsound)))
    return model


def named_parts(uri: ModelUri, content: bytes) -> tuple[list[str], list[str]]:
    """Return the allowed types that the file names, and what it names that we do not load; both sorted.

    Nothing of the file is built.

    Raises:
        UntrustedModel: the file is not of the format at all, or unpacks beyond 2 GB.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > CONTENT_BYTES_MAX:
                raise UntrustedModel(uri.text, [f"{size} bytes unpacked"])
            schema = json.loads(archive.read(_SCHEMA))
    except (zipfile.BadZipFile, KeyError, ValueError, RuntimeError) as error:
        raise UntrustedModel(uri.text, [f"not a skops file ({error})"]) from error
    types: set[str] = set()
    refused: set[str] = set()
    for node in _nodes(schema):
        kind, name = node.get("__loader__"), f"{node.get('__module__')}.{node.get('__class__')}"
        if kind not in ALLOWED_NODES:
            refused.add(f"{name} (as {kind})")
        elif kind not in {"JsonNode", "CachedNode"}:
            (types if name in ALLOWED_TYPES else refused).add(name)
    return sorted(types), sorted(refused)


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every dict of the schema that describes a node, without recursion: depth is the file's choice."""
    todo = [schema]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            if "__loader__" in item or "__class__" in item:
                yield item
            todo += item.values()
        elif isinstance(item, list):
            todo += item


def inputs_of(model: Any) -> tuple[str, ...] | None:
    """Return the feature names that the estimator was fitted with, in its order; None when it has none."""
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else tuple(str(name) for name in names)


def class_column(uri: ModelUri, model: Any) -> int | None:
    """Return the column of `predict_proba` that is the score: that of ?class=, else the second of two.

    Raises:
        UnknownModelUri: no such class, or more than two and none chosen.
    """
    classes = [str(name) for name in getattr(model, "classes_", ())]
    chosen = uri.options.get("class")
    if chosen is None:
        if len(classes) > 2:  # noqa: PLR2004  two classes have a positive one
            raise UnknownModelUri(
                uri.text, f"{len(classes)} classes and none chosen", f"?class= out of {classes}"
            )
        return None
    if chosen not in classes:
        raise UnknownModelUri(uri.text, f"class={chosen!r} is none of its classes", f"one of {classes}")
    return classes.index(chosen)
