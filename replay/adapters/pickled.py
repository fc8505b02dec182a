"""`pickle:file.pkl`: refused, unless the very bytes are pinned; what it imports is told without loading."""

import io
import pickle
import pickletools
from typing import Any

from replay.adapters.adapter import Artefact, Loaded, read_file
from replay.adapters.matrix_model import loaded_by
from replay.adapters.python import call_of
from replay.adapters.sklearn import class_column, inputs_of
from replay.adapters.uri import ModelUri
from replay.errors import PickleRefused

VERSION = 1
read = read_file
_NAMES_MAX = 8


def load(uri: ModelUri, held: Artefact, _inputs: tuple[str, ...] | None) -> Loaded:
    """Return the unpickled object as a model, when the URI pins its digest.

    Raises:
        PickleRefused: it does not, or pins another.
    """
    require_pin(uri, held, imported_names(held.content))
    found = loaded_by(uri, "pickle", _unpickled, held)
    return Loaded(inputs_of(found), call_of(uri, found, class_column(uri, found)))


def require_pin(uri: ModelUri, held: Artefact, would_import: list[str]) -> None:
    """Raise PickleRefused unless the URI's option `pickle` is the digest of these bytes."""
    if uri.options.get("pickle") != held.digest:
        raise PickleRefused(uri.text, held.digest, would_import)


def _unpickled(held: Artefact) -> Any:
    if held.suffix == ".joblib":
        import joblib

        return joblib.load(io.BytesIO(held.content))
    return pickle.loads(held.content)  # noqa: S301  pinned, allowed, and in a process that owns nothing


def imported_names(content: bytes) -> list[str]:
    """Return what unpickling would import, from its opcodes; nothing is loaded. Empty when it is no pickle.

    >>> imported_names(pickle.dumps(io.BytesIO))
    ['_io.BytesIO']
    """
    names: set[str] = set()
    texts: list[str] = []
    try:
        for opcode, argument, _position in pickletools.genops(content):
            if opcode.name == "GLOBAL":
                names.add(str(argument).replace(" ", "."))
            elif opcode.name == "STACK_GLOBAL" and len(texts) > 1:
                names.add(".".join(texts[-2:]))
            elif isinstance(argument, str):
                texts.append(argument)
    except (ValueError, IndexError, UnicodeDecodeError):
        return sorted(names)[:_NAMES_MAX]
    return sorted(names)[:_NAMES_MAX]
