"""Pairing: requests and responses that arrive apart become one document a decision. Pure; told the time."""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

import msgspec

from recorders.doors import cloudevents
from recorders.doors.bodies import parse_json, rows_of
from recorders.doors.cloudevents import CloudEvent, opened
from recorders.doors.errors import Unreadable

_MICROSECOND: Final = timedelta(microseconds=1)
Side = Literal["request", "response"]


class Half(msgspec.Struct, frozen=True, array_like=True):
    """A request or a response that waits for the other. `received_at` in seconds since 1970.

    `size` is what it takes, but for what every half takes. How long it waits the table knows: the clock that
    says when it came may be set meanwhile.
    """

    key: str
    side: Side
    received_at: float
    family: str
    attributes: dict[str, Any]
    data: bytes
    size: int


# By family: the attributes that tell its inferences apart. The last one must be there.
_KEYS: Final = {
    "kserve": ("source", "id"),
    "seldon": ("namespace", "inferenceservicename", "endpoint", "modelid", "requestid"),
}
_KINDS: Final = {
    kind: (family, side, _KEYS[family])
    for kind, (family, side) in cloudevents.FAMILIES.items()
    if side in ("request", "response")
}
# What makes a half of the attributes of a plain request (recorders/_halves.c).
PLAN: Final = (_KINDS, ("type", "id", "source", "specversion"), cloudevents.ATTRIBUTE_MAX, Half)


class Pair(msgspec.Struct, frozen=True):
    """What belongs together; None for a half that did not come in time.

    The first of them waited from `since` on, by the clock of the table.
    """

    request: Half | None
    response: Half | None
    since: float

    @property
    def key(self) -> str:
        """The key that both halves bear."""
        half = self.request or self.response
        assert half is not None, "a pair has a half"
        return half.key


class Bounds(NamedTuple):
    """How long halves wait for each other, how many, with how many bytes; how many pairs are remembered."""

    wait_s: float = 60.0
    halves: int = 100_000
    data_bytes: int = 256 * 2**20
    remembered: int = 200_000


def half_of(event: CloudEvent, now: float) -> Half:
    """Return an inference event as a half.

    KServe's halves share id and source. Each of Seldon's has an id of its own and the request's in
    `requestid`, and every node of its graph logs, so the node is part of the key.

    Raises:
        Unreadable: Seldon's request id is missing.
    """
    attributes = event.attributes
    family, side = event.family
    assert side in ("request", "response"), side
    if family == "kserve":
        key = f"{family}\x1f{attributes['source']}\x1f{attributes['id']}"
    else:
        if not attributes.get("requestid"):
            raise Unreadable("the attribute requestid is missing")
        key = "\x1f".join((family, *(str(attributes.get(name, "")) for name in _KEYS[family])))
    mine: Side = "request" if side == "request" else "response"
    return Half(key, mine, now, family, attributes, event.data, event.size)


def plain_half(attributes: dict[str, Any], data: bytes, now: float) -> Half | None:
    """Return the half that a request in binary mode is, `hotpath.read_request` makes the same of PLAN.

    None for one that is no half, or that has to be looked at piece by piece: something is escaped or missing.
    """
    if "%" in "".join(attributes.values()):
        return None
    try:
        (event,) = cloudevents.read(b"", attributes, data)
        return half_of(event, now) if event.family[1] in ("request", "response") else None
    except Unreadable:
        return None


class PairingTable:
    """Halves that wait. Bounded in time, number and bytes: what goes over goes out early, never away.

    Its `now` is of a clock that nobody can set.

    Counts: `paired`, `duplicate` (a half that came again; it is dropped), `unmatched_request` and
    `unmatched_response` (went out alone), `crowded` (of these, how many for lack of room).
    """

    def __init__(self, bounds: Bounds = Bounds()) -> None:  # noqa: B008  # a constant
        self.counts: Counter[str] = Counter()
        self._bounds = bounds
        self._waiting: OrderedDict[str, tuple[Half, float]] = OrderedDict()
        self._done: OrderedDict[str, str] = OrderedDict()  # by key: the side that went out, or "both"
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """The bytes of data and attributes that wait."""
        return self._bytes

    def offer(self, half: Half, now: float) -> Pair | None:
        """Return the pair that a half completes, None if it waits now or came before.

        One that comes after the other went out alone waits too, and goes out alone in its turn.
        """
        pairs, _ = self.offer_all((half,), now)
        return pairs[0][0] if pairs else None

    def offer_all(
        self, halves: Iterable[Half], now: float
    ) -> tuple[list[tuple[Pair, Half]], dict[str, Half]]:
        """Return the pairs that halves complete, each with the one that did, and by key those that wait now.

        What `offer` says of one half holds for each, in their order. One pass for all: calls for each of them
        took as long as what they did.
        """
        waiting, done = self._waiting, self._done
        pairs: list[tuple[Pair, Half]] = []
        new: dict[str, Half] = {}
        for half in halves:
            key, side = half.key, half.side
            found = waiting.get(key)
            if found is None:
                gone = done.get(key)
                if gone is None or gone not in ("both", side):
                    waiting[key] = half, now
                    new[key] = half
                    self._bytes += half.size
                    continue
            elif found[0].side != side:
                other, since = found
                self._remove(key, "both")
                new.pop(key, None)
                pair = Pair(half, other, since) if side == "request" else Pair(other, half, since)
                pairs.append((pair, half))
                continue
            self.counts["duplicate"] += 1
        if pairs:
            self.counts["paired"] += len(pairs)
        return pairs, new

    def due(self, now: float) -> list[Pair]:
        """Return the halves that waited long enough or have no room, oldest first, and take them out."""
        found = []
        while self._waiting:
            oldest, since = next(iter(self._waiting.values()))
            crowded = len(self._waiting) > self._bounds.halves or self._bytes > self._bounds.data_bytes
            if not crowded and now < since + self._bounds.wait_s:
                break
            earlier = self._done.get(oldest.key, oldest.side)
            self._remove(oldest.key, oldest.side if earlier == oldest.side else "both")
            self.counts[f"unmatched_{oldest.side}"] += 1
            self.counts["crowded"] += crowded
            found.append(Pair(oldest, None, since) if oldest.side == "request" else Pair(None, oldest, since))
        return found

    def put_back(self, pair: Pair, *, arrived: Half | None) -> None:
        """Let the halves of a pair that could not be kept wait again; not the one that has just `arrived`."""
        for half in (pair.request, pair.response):
            if half is not None and half is not arrived:
                self._waiting[half.key] = half, pair.since
                self._waiting.move_to_end(half.key, last=False)
                self._bytes += half.size
        self._done.pop(pair.key, None)
        if arrived is not None:
            self.counts["paired"] -= 1
        else:
            self.counts["unmatched_request" if pair.request else "unmatched_response"] -= 1

    def withdraw(self, half: Half) -> None:
        """Forget a half that waits and could not be kept."""
        found = self._waiting.get(half.key)
        if found is not None and found[0] is half:
            self._remove(half.key, "")
            del self._done[half.key]

    def restore(self, halves: Iterable[Half], now: float) -> None:
        """Let halves that an earlier process had kept wait, from now on.

        How long they did so already nobody can know: their clock, or ours, may have been wrong.
        """
        for half in halves:
            if half.key not in self._waiting:
                self._waiting[half.key] = half, now
                self._bytes += half.size

    def _remove(self, key: str, gone: str) -> None:
        self._bytes -= self._waiting.pop(key)[0].size
        self._done[key] = gone
        if len(self._done) > self._bounds.remembered:
            self._done.popitem(last=False)


def documents(pair: Pair) -> list[dict[str, Any]]:
    """Return one document a row of a pair: `event`, `request`, `response`, `input`, `output`, `latency_us`.

    `event` has the request's attributes (the response's where there is no request). `latency_us` is what lies
    between the times of both.

    Raises:
        Unreadable: a body that cannot be read, or a response with more or fewer rows than its request.
    """
    asked, answered = pair.request, pair.response
    request = None if asked is None else parse_json(asked.data)
    response = None if answered is None else parse_json(answered.data)
    inputs = None if asked is None else rows_of(request)
    outputs = None if answered is None else rows_of(response)
    half = asked or answered
    assert half is not None, "a pair has a half"
    base: dict[str, Any] = {"event": opened(half.attributes)}
    if asked is not None:
        base["request"] = request
    if answered is not None:
        base["response"] = response
    latency = _latency_us(pair)
    if latency is not None:
        base["latency_us"] = latency
    if inputs is None:
        return [base | {"output": row} for row in outputs or ()]
    if outputs is None:
        return [base | {"input": row} for row in inputs]
    if len(inputs) != len(outputs):
        raise Unreadable(f"{len(inputs)} rows were asked, {len(outputs)} answered", reason="rows")
    if len(inputs) == 1:  # nearly all of them
        base["input"], base["output"] = inputs[0], outputs[0]
        return [base]
    return [base | {"input": given, "output": found} for given, found in zip(inputs, outputs, strict=True)]


def _latency_us(pair: Pair) -> int | None:
    """Return the time between the halves, None if it is not known or not positive."""
    if pair.request is None or pair.response is None:
        return None
    try:
        began = datetime.fromisoformat(pair.request.attributes["time"])
        ended = datetime.fromisoformat(pair.response.attributes["time"])
    except (KeyError, TypeError, ValueError):
        return None
    if began.tzinfo is None or ended.tzinfo is None:
        return None
    took = (ended - began) // _MICROSECOND
    return took if took >= 0 else None
