"""What an adapter is: which bytes a model is made of, and how they become a call that scores a block."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pyarrow as pa

from replay.adapters.answers import Answer
from replay.adapters.guard import guard, plain
from replay.adapters.uri import ModelUri
from replay.loading_errors import ModelNotLoaded
from replay.model_errors import ModelNotFound, UntrustedModel

FILE_BYTES_MAX = 512 * 2**20


class Artefact(msgspec.Struct, frozen=True):
    """The bytes that a model is made of, read once: what is hashed is what is loaded."""

    digest: str
    content: bytes
    path: str = ""

    @property
    def suffix(self) -> str:
        """The file's ending, with its dot; empty when there is no file."""
        return Path(self.path).suffix


class Memory(msgspec.Struct, frozen=True):
    """What a model that remembers offers beside its call. Whatever its code raises comes through."""

    observe: Callable[[pa.RecordBatch], Any]
    snapshot: Callable[[], bytes]
    restore: Callable[[bytes], Any]


class Loaded(msgspec.Struct, frozen=True):
    """A model in this process: the inputs that it names itself, None when it names none, and its call.

    `memory` is None for one that remembers nothing.
    """

    inputs: tuple[str, ...] | None
    call: Callable[[pa.RecordBatch], Answer]
    memory: Memory | None = None


class Adapter(Protocol):
    """One kind of model; the modules of this package are the adapters.

    `VERSION` is raised when the same bytes would be given to the library in another way.
    """

    VERSION: int

    def read(self, uri: ModelUri, folder: Path | None) -> tuple[str, bytes]:
        """Return the path and the bytes of the artefact; nothing of it is run or parsed."""

    def load(self, uri: ModelUri, held: Artefact, inputs: tuple[str, ...] | None) -> Loaded:
        """Return the model; `inputs` are the names that its registration says, None when it says none."""


def read_file(uri: ModelUri, folder: Path | None) -> tuple[str, bytes]:
    """Return the path and the bytes of the file that the URI names; a relative path is looked up in `folder`.

    Raises:
        ModelNotFound: it cannot be read.
        UntrustedModel: it is larger than 512 MB.
    """
    path = Path(folder or ".") / uri.target
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise UntrustedModel(uri.text, [f"{path.stat().st_size} bytes"])
        return uri.target, path.read_bytes()
    except OSError as error:
        raise ModelNotFound(uri.text, str(error)) from error


def named_inputs(uri: ModelUri, own: Any) -> tuple[str, ...] | None:
    """Return the inputs that a model names itself, None when it names none.

    Raises:
        ModelNotLoaded: what it names is no list of names; one text is none, and would be one input a letter.
    """
    if own is None:
        return None
    if isinstance(own, str | bytes) or not all(isinstance(name, str) and name for name in _each(own)):
        raise ModelNotLoaded(uri.text, f"its inputs are {plain(repr(own))}, no list of names")
    return tuple(map(str, own))


def _each(own: Any) -> list[Any]:
    found, failed = guard(list, own)
    return [None] if failed is not None else found
