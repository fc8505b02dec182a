"""The hot path: compiled where the extension was built, Python everywhere else, and the same bytes from both.

`python -m recorders` says which one runs (docs/adr/0034).
"""

import functools
import os
from collections.abc import Callable, Sequence
from sys import intern
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from recorders.limits import Limits

if TYPE_CHECKING:
    from recorders._hotpath import HotPath

PURE_VARIABLE: Final = "HARNESS_RECORDER_PURE"
_NO: Final = ("", "0", "false", "no")
_FORM: Final = 7  # as recorders/_hotpath.c has it
# What the compiled path calls a kind of value; upper case where None is not allowed.
_CODES: Final = {
    "float64": "f",
    "int64": "i",
    "bool": "b",
    "string": "s",
    "category": "s",
    "timestamp": "t",
    "bytes": "y",
    "list[float64]": "l",
    "name": "n",
    "text": "x",
    "share": "p",
    "count": "c",
}
_BEYOND: Final = 2**31 - 1  # any bound above what it encodes at all
# Attributes that it reads of a recorder, and one of an outbox, in the order of recorders/_hotpath.c.
_READS: Final = ("_hot", "_own_outbox", "slots")
_Function = TypeVar("_Function", bound=Callable[..., Any])


def _extension() -> Any:
    """Return the extension, or the sentence that says why the Python path runs."""
    if os.environ.get(PURE_VARIABLE, "").lower() not in _NO:
        return f"pure Python: {PURE_VARIABLE} is set"
    try:
        from recorders import _hotpath
    except ImportError:
        return "pure Python: recorders/_hotpath.c was not compiled where this was built or installed"
    if _hotpath.FORM != _FORM:
        return "pure Python: recorders/_hotpath is of another version; install the distribution again"
    return _hotpath


_found: Final = _extension()
COMPILED: Final = not isinstance(_found, str)
# A frame's payload, a mark for each value, what is behind each id (recorders/cutting.py); None: decline.
_Cut = Callable[[bytes, bytes, bytes], "tuple[list[Any], ...] | None"]
cut: Final[_Cut | None] = _found.cut if COMPILED else None

# The literals of a spelling and the names between them, bytes, where to begin, how far to look at most, what
# makes a half, and when (recorders/doors/heads.py); what comes is length, token, attributes, where the head
# ends, and the half. None: not spelled so.
_Request = tuple[int, bytes, dict[str, Any], int, Any]
_ReadRequest = Callable[
    [tuple[bytes, ...], tuple[str | bytes | int | None, ...], bytes, int, int, tuple[Any, ...] | None, float],
    _Request | None,
]
read_request: Final[_ReadRequest | None] = _found.read_request if COMPILED else None
# Picks (their paths, what stands for all), a document, what is absent (recorders/doors/picks.py).
# None: decline.
_Pick = tuple[tuple[tuple[str | int, ...], ...], Any]
_FindValues = Callable[[tuple[_Pick, ...], Any, object], list[Any] | None]
find_values: Final[_FindValues | None] = _found.find_values if COMPILED else None
# Entries (a pick, where its value goes, of what type one needs no cast, the cast, whether it must be there),
# an envelope, a document, what is absent (recorders/doors/translate.py). Features and envelope come back.
Entry = tuple[_Pick, str | int, type | None, Callable[[Any], Any], bool]
_Filled = tuple[dict[str, Any], tuple[Any, ...]]
_Fill = Callable[[tuple[Entry, ...], tuple[Any, ...], Any, object], _Filled | None]
fill: Final[_Fill | None] = _found.fill if COMPILED else None

# A payload, its events, the kind of each of their values (recorders/buffers.py); of each column come how many
# are null, which are valid, its values, what they are ends in, whether all is ASCII. None: decline.
Column = tuple[int, bytes | None, Any, bytes | None, bool]
_Transpose = Callable[[bytes, int, bytes], "list[Column] | None"]
transpose: Final[_Transpose | None] = _found.transpose if COMPILED else None


def which() -> str:
    """Return which path runs in this process, and why if it is the Python one."""
    return "compiled" if COMPILED else str(_found)


def hot_path(
    fields: Sequence[tuple[str, str]],
    envelope: Sequence[tuple[str, str, bool]],
    limits: Limits,
    identifier_max: int,
) -> "HotPath | None":
    """Return what encodes plain events of these fields (name and type), or None without the extension."""
    if not COMPILED:
        return None
    bounds = (limits.text_length, limits.list_length, identifier_max, limits.event_bytes)
    found: HotPath = _found.HotPath(
        tuple(name for name, _ in fields),
        "".join(_CODES[kind] for _, kind in fields).encode(),
        "".join(
            _CODES[kind] if nullable else _CODES[kind].upper() for _, kind, nullable in envelope
        ).encode(),
        tuple(int(min(bound, _BEYOND)) for bound in bounds),
    )
    return found


def fast(envelope: Sequence[tuple[str, str, bool]]) -> Callable[[_Function], _Function]:
    """Decorate `Recorder.record`: a plain event is queued without it, any other is left to it."""

    def decorate(record: _Function) -> _Function:
        if not COMPILED:
            return record
        words = tuple(intern(word) for word in (*_READS, *(name for name, _, _ in envelope)))
        compiled: Any = _found.Fast(record, words, _found.HotPath)
        functools.update_wrapper(compiled, record)
        return cast("_Function", compiled)

    return decorate
