"""`pickle:file.pkl`: refused, unless the very bytes are pinned; what it imports is told without loading."""

import io
import pickle
from typing import Any, Self

from replay.adapters.adapter import Artefact, Loaded, read_file
from replay.adapters.guard import guard
from replay.adapters.matrix_model import loaded_by
from replay.adapters.python import call_of
from replay.adapters.sklearn import class_column, inputs_of
from replay.adapters.uri import ModelUri
from replay.loading_errors import PinnedOtherwise
from replay.model_errors import PickleRefused

VERSION = 1
read = read_file
_NAMES_MAX = 20


def load(uri: ModelUri, held: Artefact, _inputs: tuple[str, ...] | None) -> Loaded:
    """Return the unpickled object as a model, when the URI pins its digest.

    Raises:
        PickleRefused, PinnedOtherwise: it does not, or pins another.
    """
    pinned = "pickle" in uri.options  # nobody is told its names then: it is not gone through twice
    require_pin(uri, held, [] if pinned else imported_names(held.content))
    found = loaded_by(uri, "pickle", _unpickled, held)
    return Loaded(inputs_of(found), call_of(uri, found, class_column(uri, found)))


def require_pin(uri: ModelUri, held: Artefact, would_import: list[str]) -> None:
    """Raise PickleRefused or PinnedOtherwise unless the option `pickle` is the digest of these bytes."""
    pinned = uri.options.get("pickle")
    if pinned is None:
        raise PickleRefused(uri.text, held.digest, would_import)
    if pinned != held.digest:
        raise PinnedOtherwise(uri.text, held.digest)


def _unpickled(held: Artefact) -> Any:
    if held.suffix == ".joblib":
        import joblib

        return joblib.load(io.BytesIO(held.content))
    return pickle.loads(held.content)  # noqa: S301  pinned, allowed, and in a process that owns nothing


def imported_names(content: bytes) -> list[str]:
    """Return what unpickling would import, empty when it is no pickle; nothing of it is imported or run.

    Where it cannot be followed to its end, and where there is too much to name, the last entry says so.

    >>> imported_names(pickle.dumps(io.BytesIO))
    ['_io.BytesIO']
    """
    followed = _Followed(io.BytesIO(content))
    _nothing, lost = guard(followed.load)
    names = sorted(followed.names)
    more = len(names) > _NAMES_MAX or (lost is not None and names)
    return [*names[:_NAMES_MAX], *(["and more"] if more else [])]


class _Followed(pickle._Unpickler):  # noqa: SLF001  see below
    """Goes the way of the unpickler, which alone knows its stack and memo; what it makes is nothing.

    Of the standard library's two it is the one in Python. The other keeps its memo in an array as long as
    the highest place in it, which a file of twelve bytes may say is the 2^32nd: gigabytes. This one's is as
    long as what was put there.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.names: set[str] = set()

    def find_class(self, module: str, name: str, /) -> Any:
        """Return a class that does nothing."""
        self.names.add(f"{module}.{name}")
        return _Nothing

    def persistent_load(self, _name: Any, /) -> Any:
        """Return nothing."""
        return _Nothing()


class _Nothing:
    def __new__(cls, *_given: Any, **_named: Any) -> Self:
        return super().__new__(cls)

    @staticmethod
    def _ignored(*_given: Any) -> None:
        return None

    __setstate__ = __setitem__ = append = extend = add = _ignored
