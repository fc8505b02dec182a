"""`py:module:attr`: code that is installed here, pinned by the digest of the module's source."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from replay.adapters.uri import METHODS, ModelUri
from replay.errors import ModelNotFound, NotAModel


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


def source_of(uri: ModelUri, folder: Path | None) -> tuple[str, bytes]:
    """Return the path and the bytes of the module's source, without running it.

    `folder` is searched beside what is installed. Of a dotted name the parent packages are imported.

    Raises:
        ModelNotFound: no such module, or one without source (a built-in, an extension).
    """
    name = uri.target.split(":")[0]
    try:
        spec = importlib.machinery.PathFinder.find_spec(name, [str(folder)]) if folder else None
        spec = spec or importlib.util.find_spec(name)
    except (ImportError, ValueError) as error:
        raise ModelNotFound(uri.text, str(error)) from error
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ModelNotFound(uri.text, f"no module {name!r} with Python source")
    try:
        return spec.origin, Path(spec.origin).read_bytes()
    except OSError as error:
        raise ModelNotFound(uri.text, str(error)) from error


def load_attribute(uri: ModelUri, path: str, source: bytes, digest: str) -> Any:
    """Return the attribute that `uri` names, from a module made of `source`; a class is instantiated.

    The module is registered under a name of its own, so two versions of one file can live in one process.

    Raises:
        ModelNotFound: the source does not run, or lacks the attribute.
    """
    name, _, attribute = uri.target.partition(":")
    alias = f"{name}@{digest[:16]}"
    module = sys.modules.get(alias) or _run(uri, alias, name, path, source)
    try:
        found: Any = module
        for part in attribute.split("."):
            found = getattr(found, part)
        return found() if isinstance(found, type) else found
    except (AttributeError, TypeError) as error:
        raise ModelNotFound(uri.text, str(error)) from error


def _run(uri: ModelUri, alias: str, name: str, path: str, source: bytes) -> ModuleType:
    spec = importlib.util.spec_from_loader(alias, _Pinned(path, source), origin=path)
    assert spec is not None, "a loader was given"
    module = importlib.util.module_from_spec(spec)
    module.__package__ = name.rpartition(".")[0]  # relative imports mean what they mean in the file
    sys.modules[alias] = module
    try:
        spec.loader.exec_module(module)  # type: ignore[union-attr]  # the loader above
    except (ImportError, SyntaxError, AttributeError, NameError, TypeError, ValueError, OSError) as error:
        del sys.modules[alias]
        raise ModelNotFound(uri.text, f"{path} does not run: {error}") from error
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
