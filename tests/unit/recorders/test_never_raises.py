"""record() never raises: whatever a caller's objects do when they are touched ends as a count."""

import threading
from collections.abc import Iterator, Mapping
from typing import NoReturn

import msgspec
import pytest

from recorders.errors import InvalidEvent
from recorders.fields import FeatureSet, Field
from recorders.limits import Limits
from recorders.pending import Known
from recorders.recorder import Recorder
from recorders.values import type_name
from tests.support.recording import PLAIN, TWO, MemoryLink, StillRecorder, down, still


class Hostile:
    """Raises whatever is asked of it."""

    def _no(self, *_: object) -> NoReturn:
        raise ZeroDivisionError("hostile")

    __repr__ = __str__ = __eq__ = __hash__ = __len__ = __iter__ = __getitem__ = __bool__ = __float__ = _no  # type: ignore[assignment]
    __contains__ = __index__ = __int__ = _no  # type: ignore[assignment]

    def __getattr__(self, name: str) -> NoReturn:
        raise ZeroDivisionError(name)


class HostileMapping(Mapping[str, object]):
    def __init__(self, good: int) -> None:
        self.good = good

    def _count(self) -> None:
        self.good -= 1
        if self.good < 0:
            raise RuntimeError("hostile")

    def __getitem__(self, key: str) -> object:
        self._count()
        return PLAIN[key]

    def __iter__(self) -> Iterator[str]:
        self._count()
        return iter(PLAIN)

    def __len__(self) -> int:
        self._count()
        return 2


class NumpyLiar:
    __module__ = "numpy"

    def tolist(self) -> NoReturn:
        raise ZeroDivisionError("hostile")


class HostileType(type):
    @property
    def __name__(cls) -> NoReturn:  # type: ignore[override]
        raise ZeroDivisionError("hostile")


def hostile_error() -> Exception:
    """Return an error whose class does not even tell its name: pytest would ask it for that."""
    kind = HostileType("HostileError", (Exception,), {})
    return kind()  # type: ignore[no-any-return]


class HostileEvent(InvalidEvent):
    """Says that it is ours, and has nothing that ours has."""

    def __init__(self) -> None:
        self.reason = []  # type: ignore[assignment]  # no reason, and no key

    __str__ = Hostile._no  # type: ignore[assignment]


class RaisingMapping(HostileMapping):
    def __init__(self, error: Exception) -> None:
        super().__init__(0)
        self.error = error

    def _count(self) -> None:
        raise self.error


LISTED = FeatureSet("listed", 1, (Field("vector", "list[float64]"), Field("raw", "bytes")))
recursive: dict[str, object] = {}
recursive["age"] = recursive["amount"] = recursive


@pytest.mark.parametrize(
    "features",
    [
        None,
        7,
        "age",
        [("age", 1)],
        (x for x in ("age", "amount")),
        Hostile(),
        recursive,
        {"age": Hostile(), "amount": 1.0},
        {"age": 1, "amount": [Hostile()]},
        {"age": NumpyLiar(), "amount": 1.0},
        {Hostile: 1, "age": 1},
        {1: 1, "age": 1},
        {"age": 1, "amount": "x" * 50_000_000},
        {"age": 1, "amount": 1.0, "x" * 50_000_000: 1},
        *[HostileMapping(good) for good in range(5)],
        RaisingMapping(hostile_error()),
        RaisingMapping(HostileEvent()),
        {"age": hostile_error(), "amount": 1.0},
        {type(hostile_error()): 1, "age": 1},
    ],
    ids=type_name,  # a hostile repr names no test
)
def test_hostile_features_cost_an_event_and_nothing_else(features: object) -> None:
    recorder = still(MemoryLink())
    accepted = recorder.record(features)  # type: ignore[arg-type]
    counters = recorder.counters
    assert counters.accepted + sum(counters.rejected.values()) == 1
    assert (accepted is None) == (counters.accepted == 0)
    assert all(len(sample) < 500 for sample in recorder.samples.values())
    assert recorder.record(PLAIN), "the recorder goes on"


@pytest.mark.parametrize(
    "name",
    sorted(Known.__annotations__),
)
def test_hostile_envelopes_cost_an_event_and_nothing_else(name: str) -> None:
    recorder = still(MemoryLink())
    assert recorder.record(PLAIN, **{name: Hostile()}) is None
    assert recorder.outcome(Hostile(), "late", Hostile()) is False  # type: ignore[arg-type]
    assert sum(recorder.counters.rejected.values()) == 2


class Equal(msgspec.Struct):
    """Says that it is whatever it is compared with."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def test_what_says_that_it_is_a_status_never_reaches_a_frame() -> None:
    """It was accepted, and the frame could not be read: with it went all others' events."""
    link = MemoryLink()
    recorder = still(link)
    assert recorder.record(PLAIN, statuses={"age": Equal()}) is None  # type: ignore[dict-item]
    assert recorder.record(PLAIN, statuses={"age": "stale"})
    assert recorder.counters.rejected == {"exception": 1}
    recorder.carry_all()
    (frame,) = (one for one in link.frames if one.kind == "decision")
    assert [event[-1] for event in msgspec.msgpack.decode(frame.payload)] == [[["age", "stale"]]]


def test_an_event_over_the_size_limit_is_refused() -> None:
    recorder = still(MemoryLink(), event_bytes=60)
    assert recorder.record(PLAIN, unit="u" * 100) is None
    assert recorder.counters.rejected == {"size": 1}


def events(link: MemoryLink) -> list[list[object]]:
    return [event for frame in link.frames for event in msgspec.msgpack.decode(frame.payload)]


def test_what_the_service_changes_later_changes_nothing() -> None:
    link = MemoryLink()
    recorder = StillRecorder("p", LISTED, link, model="m", model_version="1")
    vector, raw = [1.0, 2.0], bytearray(b"ab")
    features: dict[str, object] = {"vector": vector, "raw": raw}
    assert recorder.record(features)
    with recorder.decision(features):
        vector[0], raw[:] = 9.0, b"zz"
        features["vector"] = None
    vector.clear()
    features.clear()
    recorder.carry_all()
    assert [event[11:13] for event in events(link)] == [[[1.0, 2.0], b"ab"]] * 2


def test_a_block_that_raises_is_recorded_and_its_error_goes_on() -> None:
    link = MemoryLink()
    recorder = still(link)
    with pytest.raises(KeyError), recorder.decision(PLAIN) as pending:  # noqa: PT012  # the block is the test
        pending.result(score=0.5)
        raise KeyError("service")
    assert pending.decision_id is not None
    assert recorder.counters.accepted == 1


def test_a_block_of_a_hostile_snapshot_does_not_disturb_the_service() -> None:
    recorder = still(MemoryLink())
    with recorder.decision(Hostile()) as pending:  # type: ignore[arg-type]
        pending.result(score=Hostile())  # type: ignore[arg-type]
    assert pending.decision_id is None


def test_a_keyword_that_does_not_exist_is_named_where_it_is_written() -> None:
    recorder = still(MemoryLink())
    with pytest.raises(TypeError, match="'scores'"):
        recorder.decision(PLAIN, scores=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'decison'"), recorder.decision(PLAIN) as pending:
        pending.result(decison="late")  # type: ignore[call-arg]


def test_a_link_that_is_down_is_not_felt() -> None:
    recorder = still(MemoryLink(down))
    assert recorder.record(PLAIN)
    recorder.outbox.hurry()
    assert recorder.carry()
    assert recorder.record(PLAIN)


def test_a_timeout_that_is_no_number_is_over() -> None:
    """flush waited for ever where the log was away."""
    recorder = still(MemoryLink(down))
    recorder.record(PLAIN)
    started = threading.Thread(target=lambda: flushed.append(recorder.flush(float("nan"))), daemon=True)
    flushed: list[bool] = []
    started.start()
    started.join(10)
    assert flushed == [False]


def test_keyboard_interrupts_pass() -> None:
    class Interrupting(dict[str, object]):
        def __iter__(self) -> Iterator[str]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        still(MemoryLink()).record(Interrupting())


def test_a_recorder_that_cannot_start_a_thread_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    def refuse(self: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        recorder = Recorder("p", TWO, MemoryLink(), model="m", model_version="1")
        assert recorder.record(PLAIN)
        assert recorder.record({"age": "x"}) is None
    assert recorder.record(PLAIN)
    assert recorder.flush(5)
    recorder.close()


def test_a_signal_handler_that_records_while_the_thread_is_started_does_not_wait_for_ever() -> None:
    recorder = Recorder("p", TWO, MemoryLink(), model="m", model_version="1")
    with recorder._starting:  # as the interrupted code holds it
        assert recorder.record(PLAIN)
    assert recorder.record(PLAIN)
    assert recorder.flush(5)
    assert recorder.close(5)


def test_construction_may_raise_because_nobody_is_served_yet() -> None:
    with pytest.raises(InvalidEvent, match="decision_point"):
        Recorder("", TWO, MemoryLink(), model="m", model_version="1")
    with pytest.raises(ValueError, match="frame_events"):
        Limits(frame_events=0)
