"""Heads: what a request says before its body. One that is spelled like those before it is read in one step.

httptools reads a head in some twenty calls, each into Python. A sender spells all its heads alike: the same
line, the same names in the same order. One match of a regular expression finds the values of such a head
(docs/adr/0063), or one walk of a compiled function where the hot path is compiled, and the same from both
(docs/adr/0074). They take nothing that httptools would refuse, and leave to it whatever is spelled otherwise.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from recorders import hotpath
from recorders.doors import cloudevents, pairing
from recorders.doors.pairing import Half

HEAD_BYTES: Final = 32 * 1024
FORMS_MAX: Final = 64
LEARNT_AFTER: Final = 32
# What is longer is not worth the learning: it took longer to send.
_HEADERS_MAX: Final = 64
_SPELLED_BYTES: Final = 8_192
_LENGTH: Final = b"content-length"
_NUMBER: Final = 0
_TOKEN: Final = b"authorization"
# What a form holds as it was sent: what the body is does not change from one request of a sender to the next.
_FIXED: Final = (b"content-type", b"content-encoding")
# What says where a request ends, or what comes after it, in another way than a length.
_FRAMING: Final = frozenset({b"transfer-encoding", b"connection", b"proxy-connection", b"upgrade", b"expect"})
# Visible characters, and blanks between them: all parsers agree on these.
_VALUE: Final = r"[!-~][ -~]*(?<! )"

Headers = Sequence[tuple[bytes, bytes]]
Name = str | bytes | int | None


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


# Of a request: its length, token and attributes, where its head ends, and the half that it is if it is a
# plain one and there to its end.
Found = tuple[int, bytes, dict[str, Any], int, Half | None]


class Form:
    """The spelling of one sender's heads: their first line, and the names of their headers in order.

    `binary` says that each of its requests brings one CloudEvent, whose attributes are headers.
    """

    def __init__(self, method: bytes, url: bytes, headers: Headers, *, binary: bool = False) -> None:
        self._alike = Head.of(method, url, headers)
        self._plan = pairing.PLAN if binary else None
        self._literals, self._names = _spelling(b"%s %s HTTP/1.1\r\n" % (method, url), headers)
        self._kept = tuple(name for name in self._names if name is not None)
        groups = [_group(name) for name in self._names]
        literals = [re.escape(literal.decode("latin-1")) for literal in self._literals]
        self._match = re.compile("".join(map("".join, zip(literals, [*groups, ""], strict=True)))).match

    def read(self, data: bytes, start: int, now: float = 0.0) -> Found | None:
        """Return what a request of this form came to; None for a head that is cut off, or of another."""
        if hotpath.read_request is None:
            return self._patiently(data, start, now)
        return hotpath.read_request(self._literals, self._names, data, start, HEAD_BYTES, self._plan, now)

    def head(self, found: Found) -> Head:
        """Return the head of a request of this form."""
        length, token, attributes, _, _ = found
        alike = self._alike
        return Head(alike.method, alike.path, alike.kind, alike.encoding, length, token, False, attributes)  # noqa: FBT003  # the order of a head

    def _patiently(self, data: bytes, start: int, now: float) -> Found | None:
        end = data.find(b"\r\n\r\n", start, start + HEAD_BYTES) + 4
        found = self._match(data[start:end].decode("latin-1")) if end > start else None
        if found is None:
            return None
        values: dict[Any, Any] = dict(zip(self._kept, found.groups(), strict=True))
        length = int(values.pop(_NUMBER))
        token = values.pop(_TOKEN, "").encode("latin-1")
        whole = self._plan is not None and end + length <= len(data)
        half = pairing.plain_half(values, data[end : end + length], now) if whole else None
        return length, token, values, end, half


class Forms:
    """The forms that the senders of one server use: FORMS_MAX of them, each met LEARNT_AFTER times before.

    To learn one takes a millisecond, so strangers who spell each head in another way have none learnt.
    `binary` says of a head whether each request with one like it brings one CloudEvent.
    """

    def __init__(self, binary: Callable[[Head], bool] = lambda _: False) -> None:
        self._binary = binary
        self._met: OrderedDict[tuple[object, ...], int | Form] = OrderedDict()

    def meet(self, method: bytes, url: bytes, headers: Headers) -> Form | None:
        """Return the form of a head that httptools has read, None as long as it is not known well enough."""
        key = (method, url, *((name, value) if name.lower() in _FIXED else name for name, value in headers))
        met = self._met.get(key, 0)
        if not met and not _learnable(method + url, headers):
            return None
        if isinstance(met, int):
            met = met + 1 if met < LEARNT_AFTER else self._learnt(method, url, headers)
            self._met[key] = met
        self._met.move_to_end(key)
        if len(self._met) > FORMS_MAX:
            self._met.popitem(last=False)
        return met if isinstance(met, Form) else None

    def _learnt(self, method: bytes, url: bytes, headers: Headers) -> Form:
        return Form(method, url, headers, binary=self._binary(Head.of(method, url, headers)))


def _learnable(first: bytes, headers: Headers) -> bool:
    """Whether a length alone says where such requests end, no name comes twice, and all is short."""
    lower = {name.lower() for name, _ in headers}
    return (
        _LENGTH in lower
        and len(lower) == len(headers) <= _HEADERS_MAX
        and not lower & _FRAMING
        and len(first) + sum(len(name) + len(value) for name, value in headers) <= _SPELLED_BYTES
    )


def _spelling(first: bytes, headers: Headers) -> tuple[tuple[bytes, ...], tuple[Name, ...]]:
    """Return what is the same in all heads of a form, and the names of the values in between.

    A name is 0 for the length, bytes for the token, text for an attribute and None for what is not kept.
    """
    literals, names = [first], list[Name]()
    for header, value in headers:
        literals[-1] += header + b": "
        if header.lower() in _FIXED:
            literals[-1] += value + b"\r\n"
        else:
            names.append(_name(header))
            literals.append(b"\r\n")
    literals[-1] += b"\r\n"
    return tuple(literals), tuple(names)


def _name(header: bytes) -> Name:
    lower = header.lower()
    if lower == _LENGTH:
        return _NUMBER
    return lower if lower == _TOKEN else next(iter(cloudevents.split([(header, b"")])[0]), None)


def _group(name: Name) -> str:
    """Return the pattern of a value, a group where it is kept."""
    if name == _NUMBER:
        return r"([0-9]{1,15})"
    return _VALUE if name is None else f"({_VALUE})"
