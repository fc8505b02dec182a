"""Exchanges: what an extractor sees of a request and its answer, and what it makes of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Required

import msgspec

from recorders.errors import InvalidEvent
from recorders.pending import Known
from recorders.recorder import Recorder
from recorders.values import refusal

_TRACE_ID = slice(3, 35)  # of a W3C traceparent: version, trace id, parent, flags
_TRACEPARENT_LENGTH = 55


class Decided(Known, total=False):
    """One decision as an extractor declares it: the keywords of `Recorder.record`, and the features."""

    features: Required[Mapping[str, object]]


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request and its answer. Header names are in lower case.

    `request` is None when the body was over the limit or the service did not read all of it, `response`
    when it was over the limit or streamed. `latency_us` is from the request's arrival to its answer's end.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    request: bytes | None
    status: int
    response_headers: Mapping[str, str]
    response: bytes | None
    latency_us: int

    def request_json(self) -> Any:
        """Return the request's body, decoded.

        Raises:
            InvalidEvent: it was not kept, or is no JSON.
        """
        return _decoded("The request's body", self.request, self.headers)

    def response_json(self) -> Any:
        """Return the answer's body, decoded.

        Raises:
            InvalidEvent: it was not kept, or is no JSON.

        >>> empty = dict(method="GET", path="/", query="", headers={}, request=b"", latency_us=0)
        >>> Exchange(**empty, status=200, response_headers={}, response=None).response_json()
        Traceback (most recent call last):
        recorders.errors.InvalidEvent: The answer's body was not kept: it was over the limit, streamed, or \
not read to its end. Expected one whole JSON body within body_bytes_max. Extract what is known without it.
        """
        return _decoded("The answer's body", self.response, self.response_headers)

    @property
    def trace_id(self) -> str | None:
        """The trace that the request belongs to, from its `traceparent` header."""
        text = self.headers.get("traceparent", "")
        return text[_TRACE_ID] if len(text) >= _TRACEPARENT_LENGTH else None


Extract = Callable[[Exchange], Decided | Sequence[Decided] | None]


def record_decided(
    recorder: Recorder,
    decided: Decided | Sequence[Decided] | None,
    *,
    latency_us: int,
    trace_id: str | None = None,
) -> None:
    """Record what an extractor returned: nothing, one decision, or several of one request."""
    if decided is None:
        return
    for one in (decided,) if isinstance(decided, Mapping) else decided:
        recorder.guarded(_record, recorder, one, {"latency_us": latency_us, "trace_id": trace_id})


def _record(recorder: Recorder, one: object, found: dict[str, Any]) -> None:
    if not isinstance(one, Mapping) or "features" not in one:
        remedy = 'Return {"features": {...}, "score": ...}, a list of such, or None.'
        raise refusal("type", "What the extractor returned", one, "a decision with `features`", remedy)
    for name in one:
        if name not in Decided.__annotations__:
            known = ", ".join(Decided.__annotations__)
            raise refusal("undeclared", "The extractor's key", name, f"one of {known}", "Check its name.")
    recorder.record(**(found | dict(one)))


def _decoded(where: str, body: bytes | None, headers: Mapping[str, str]) -> Any:
    expected = "Expected one whole JSON body within body_bytes_max."
    if body is None:
        happened = f"{where} was not kept: it was over the limit, streamed, or not read to its end."
        raise InvalidEvent("size", happened, expected, "Extract what is known without it.")
    coding = headers.get("content-encoding", "identity")
    if coding != "identity":
        remedy = "Put the recording middleware inside the compressing one."
        raise InvalidEvent("type", f"{where} is encoded as {coding[:20]!r}.", expected, remedy)
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        happened = f"{where} of {len(body)} bytes is no JSON ({error})."
        raise InvalidEvent("type", happened, expected, "Extract it otherwise.") from error
