"""Heads: what a request says before its body. One that is spelled like those before it is read in one step.

httptools reads a head in some twenty calls, each into Python. A sender spells all its heads alike: the same
line, the same names in the same order. One match of a regular expression finds the values of such a head
(docs/adr/0063). It takes nothing that httptools would refuse, and leaves to it whatever is spelled otherwise.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from recorders.doors import cloudevents

HEAD_BYTES: Final = 32 * 1024
FORMS_MAX: Final = 64
LEARNT_AFTER: Final = 32
# What is longer is not worth the learning: it took longer to send.
_HEADERS_MAX: Final = 64
_SPELLED_BYTES: Final = 8_192
_LENGTH: Final = b"content-length"
_TOKEN: Final = b"authorization"
# What a form holds as it was sent: what the body is does not change from one request of a sender to the next.
_FIXED: Final = (b"content-type", b"content-encoding")
# What says where a request ends, or what comes after it, in another way than a length.
_FRAMING: Final = frozenset({b"transfer-encoding", b"connection", b"proxy-connection", b"upgrade", b"expect"})
# Visible characters, and blanks between them: all parsers agree on these.
_VALUE: Final = r"[!-~][ -~]*"
_END: Final = r"(?<! )\r\n"

Headers = Sequence[tuple[bytes, bytes]]


class Head(msgspec.Struct, frozen=True):
    """What a request says before its body: the headers that matter. `length` is 0 when it is not told.

    `attributes` are those of a CloudEvent.
    """

    method: bytes
    path: bytes
    kind: bytes
    encoding: bytes
    length: int
    token: bytes
    expects: bool
    attributes: dict[str, Any]

    @classmethod
    def of(cls, method: bytes, url: bytes, headers: Headers) -> "Head":
        """Return the head of a request. Of a header that comes twice the last one counts."""
        attributes, given = cloudevents.split(headers)
        length = given.get(_LENGTH, b"")
        return cls(
            method,
            url.partition(b"?")[0],
            given.get(b"content-type", b""),
            given[b"content-encoding"].strip().lower() if b"content-encoding" in given else b"",
            int(length[:20]) if length.isdigit() else 0,
            given.get(_TOKEN, b""),
            b"expect" in given and given[b"expect"].lower() == b"100-continue",
            attributes,
        )


class Form:
    """The spelling of one sender's heads: their first line, and the names of their headers in order."""

    def __init__(self, method: bytes, url: bytes, headers: Headers) -> None:
        self._names = tuple(name for header, _ in headers for name in _kept(header))
        self._alike = Head.of(method, url, headers)
        lines = [re.escape((method + b" " + url).decode("latin-1")) + r" HTTP/1\.1\r\n"]
        lines += [_line(name, value) for name, value in headers]
        pattern = re.compile("".join(lines) + r"\r\n")
        self._match = pattern.match

    def read(self, data: bytes, start: int) -> tuple[Head, int] | None:
        """Return a head of this form and where it ends; None for one that is cut off, or of another."""
        end = data.find(b"\r\n\r\n", start, start + HEAD_BYTES) + 4
        found = self._match(data[start:end].decode("latin-1")) if end > start else None
        if found is None:
            return None
        alike = self._alike
        values: dict[Any, Any] = dict(zip(self._names, found.groups(), strict=True))
        length = int(values.pop(_LENGTH))
        token = values.pop(_TOKEN, "").encode("latin-1")
        head = Head(alike.method, alike.path, alike.kind, alike.encoding, length, token, False, values)  # noqa: FBT003  # the order of a head
        return head, end


class Forms:
    """The forms that the senders of one server use: FORMS_MAX of them, each met LEARNT_AFTER times before.

    To learn one takes a millisecond, so strangers who spell each head in another way have none learnt.
    """

    def __init__(self) -> None:
        self._met: OrderedDict[tuple[object, ...], int | Form] = OrderedDict()

    def meet(self, method: bytes, url: bytes, headers: Headers) -> Form | None:
        """Return the form of a head that httptools has read, None as long as it is not known well enough."""
        key = (method, url, *((name, value) if name.lower() in _FIXED else name for name, value in headers))
        met = self._met.get(key, 0)
        if not met and not _learnable(method + url, headers):
            return None
        if isinstance(met, int):
            met = met + 1 if met < LEARNT_AFTER else Form(method, url, headers)
            self._met[key] = met
        self._met.move_to_end(key)
        if len(self._met) > FORMS_MAX:
            self._met.popitem(last=False)
        return met if isinstance(met, Form) else None


def _learnable(first: bytes, headers: Headers) -> bool:
    """Whether a length alone says where such requests end, no name comes twice, and all is short."""
    lower = {name.lower() for name, _ in headers}
    return (
        _LENGTH in lower
        and len(lower) == len(headers) <= _HEADERS_MAX
        and not lower & _FRAMING
        and len(first) + sum(len(name) + len(value) for name, value in headers) <= _SPELLED_BYTES
    )


def _line(name: bytes, value: bytes) -> str:
    """Return the pattern of one header, with a group for a value that is kept."""
    lower, spelt = name.lower(), re.escape(name.decode("latin-1")) + ": "
    if lower == _LENGTH:
        return spelt + r"([0-9]{1,15})\r\n"
    if lower in _FIXED:
        return spelt + re.escape(value.decode("latin-1")) + r"\r\n"
    return f"{spelt}({_VALUE}){_END}" if _kept(name) else spelt + _VALUE + _END


def _kept(name: bytes) -> list[str | bytes]:
    """Return what the value of a header is kept as: text for an attribute, bytes for what is none."""
    lower = name.lower()
    return [lower] if lower in (_LENGTH, _TOKEN) else list(cloudevents.split([(name, b"")])[0])
