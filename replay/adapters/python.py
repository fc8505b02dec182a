"""`py:module:attr`: code that is installed here, pinned by the digest of the module's source."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from replay.adapters.adapter import Artefact, Loaded, Memory, named_inputs
from replay.adapters.answers import Answer, Output, read_answer
from replay.adapters.forms import form_of
from replay.adapters.guard import guard
from replay.adapters.uri import METHODS, ModelUri
from replay.loading_errors import ModelNotLoaded
from replay.model_errors import ModelNotFound, NotAModel, RemembersNothing, UnknownModelUri

VERSION = 1
_OF_CLASSES = "predict_proba"
_REMEMBERS = ("observe", "snapshot", "restore")


class _Pinned(importlib.abc.SourceLoader):
    """Runs the very bytes that were hashed: the file may change in between, and bytecode caches lie."""

    def __init__(self, path: str, source: bytes) -> None:
        self._path, self._source = path, source

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002  importlib's signature
        return self._path

    def get_data(self, path: str | bytes) -> bytes:
        if str(path) != self._path:
            raise OSError(path)  # no bytecode cache
        return self._source


def load(uri: ModelUri, held: Artefact, _inputs: tuple[str, ...] | None) -> Loaded:
    """Return the attribute as a model; its `inputs`, when it has any, are those that it wants."""
    found = load_attribute(uri, held.path, held.content, held.digest)
    own = getattr(found, "inputs", None)
    memory = None if uri.key is None else _memory_of(uri, found)
    return Loaded(named_inputs(uri, own), call_of(uri, found, column_of(uri)), memory)


def _memory_of(uri: ModelUri, found: Any) -> Memory:
    """Return what an object with a key remembers by.

    Raises:
        RemembersNothing: it lacks one of the three methods.
    """
    lacking = [name for name in _REMEMBERS if not callable(getattr(found, name, None))]
    if lacking:
        raise RemembersNothing(uri.text, type(found).__name__, lacking)
    form = form_of(uri.options.get("input", "frame"), nulls=uri.nulls)
    return Memory(
        lambda block: found.observe(form(block)), lambda: _state_of(found.snapshot()), found.restore
    )


def _state_of(state: Any) -> bytes:
    if not isinstance(state, bytes | bytearray):
        raise TypeError(f"snapshot() returned {type(state).__name__}, expected bytes")
    return bytes(state)


def call_of(uri: ModelUri, found: Any, column: int | None) -> Callable[[pa.RecordBatch], Answer]:
    """Return the call that hands a block to `found` in the form that the URI names.

    Raises:
        NotAModel: nothing there to call.
    """
    scorer = scorer_of(uri, found)
    # Two columns of a function of one's own are no classes that anybody named.
    classes = uri.scheme != "py" or getattr(scorer, "__name__", None) == _OF_CLASSES
    output = Output.of(uri.options, column, classes=classes)
    form = form_of(uri.options.get("input", "frame"), nulls=uri.nulls)
    return lambda block: read_answer(scorer(form(block)), output, block.num_rows)


def column_of(uri: ModelUri) -> int | None:
    """Return the column of an answer with several that ?class= names by its number.

    Raises:
        UnknownModelUri: it is no number.
    """
    chosen = uri.options.get("class")
    if chosen is not None and not chosen.isdigit():
        raise UnknownModelUri(uri.text, f"class={chosen!r}", "the number of a column, from 0")
    return None if chosen is None else int(chosen)


def source_of(uri: ModelUri, folder: Path | None) -> tuple[str, bytes]:
    """Return the path and the bytes of the module's source, without running it.

    `folder` is searched first, then what is installed. Of a dotted name the parents are searched in turn,
    so that `pkg.model` is never some other `model` that lies beside.

    Raises:
        ModelNotFound: no such module, or one without source (a built-in, an extension).
    """
    name = uri.target.split(":")[0]
    try:
        spec = (_below(folder, name) if folder else None) or importlib.util.find_spec(name)
    except (ImportError, ValueError) as error:
        raise ModelNotFound(uri.text, str(error)) from error
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ModelNotFound(uri.text, f"no module {name!r} with Python source")
    try:
        return spec.origin, Path(spec.origin).read_bytes()
    except OSError as error:
        raise ModelNotFound(uri.text, str(error)) from error


read = source_of


def _below(folder: Path, name: str) -> importlib.machinery.ModuleSpec | None:
    places: Sequence[str] = [str(folder)]
    spec = None
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:depth]), places)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or [])
    return spec


def load_attribute(uri: ModelUri, path: str, source: bytes, digest: str) -> Any:
    """Return the attribute that `uri` names, from a module made of `source`; a class is instantiated.

    The module is registered under a name of its own, so two versions of one file can live in one process.

    Raises:
        ModelNotFound: the source lacks the attribute.
        ModelNotLoaded: it does not run, or the class cannot be made.
    """
    name, _, attribute = uri.target.partition(":")
    alias = f"{name}@{digest[:16]}"
    module = sys.modules.get(alias) or _run(uri, alias, name, path, source)
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise ModelNotFound(uri.text, str(error)) from error
    if not isinstance(found, type):
        return found
    made, failed = guard(found)
    if failed is not None:
        raise ModelNotLoaded(uri.text, f"{attribute}() failed: {failed.reason}")
    return made


def _run(uri: ModelUri, alias: str, name: str, path: str, source: bytes) -> ModuleType:
    spec = importlib.util.spec_from_loader(alias, _Pinned(path, source), origin=path)
    assert spec is not None, "a loader was given"
    module = importlib.util.module_from_spec(spec)
    module.__package__ = name.rpartition(".")[0]  # relative imports mean what they mean in the file
    sys.modules[alias] = module
    assert spec.loader is not None, "it was just made with one"
    _nothing, failed = guard(spec.loader.exec_module, module)
    if failed is not None:
        del sys.modules[alias]
        raise ModelNotLoaded(uri.text, f"{path} does not run: {failed.reason}")
    return module


def scorer_of(uri: ModelUri, found: Any, preferred: Sequence[str] = METHODS) -> Callable[[Any], Any]:
    """Return the function that scores: the method that the URI names, else the first that is there.

    Raises:
        NotAModel: no such method, and not callable either.
    """
    wanted = [uri.options["method"]] if "method" in uri.options else list(preferred)
    for name in wanted:
        method = getattr(found, name, None)
        if callable(method):
            scorer: Callable[[Any], Any] = method
            return scorer
    if "method" not in uri.options and callable(found):
        function: Callable[[Any], Any] = found
        return function
    raise NotAModel(uri.text, type(found).__name__, wanted)
