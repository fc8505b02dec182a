"""Threads: counts stay exact, ids stay unique, and closing loses nothing uncounted."""

import ctypes
import threading
import time

import pytest

from recorders import courier, outbox
from recorders.frame import Frame
from recorders.limits import Limits
from recorders.recorder import Recorder
from tests.support.recording import PLAIN, TWO, MemoryLink, down

THREADS = 8
EACH = 2_000


def hammer(recorder: Recorder, each: int = EACH) -> list[str]:
    """Record from many threads at once and return the ids that were accepted."""
    ids: list[list[str]] = [[] for _ in range(THREADS)]

    def work(place: int) -> None:
        for _ in range(each):
            accepted = recorder.record(PLAIN)
            if accepted is not None:
                ids[place].append(accepted)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [name for part in ids for name in part]


def test_all_threads_together_lose_and_double_nothing() -> None:
    link = MemoryLink()
    with Recorder("p", TWO, link, model="m", model_version="1") as recorder:
        ids = hammer(recorder)
        assert recorder.flush(20)
        counters = recorder.counters
    assert link.closed
    assert len(set(ids)) == len(ids) == THREADS * EACH
    assert counters.accepted == counters.sent == counters.acked == link.events() == THREADS * EACH
    assert counters.dropped == counters.rejected == {}


def test_a_slow_link_fills_the_queue_and_every_event_is_accepted_or_counted() -> None:
    def slowly(frame: Frame) -> None:
        time.sleep(0.01)

    limits = Limits(queue_slots=500, frame_events=100, linger_s=0.0)
    link = MemoryLink(slowly)
    recorder = Recorder("p", TWO, link, model="m", model_version="1", limits=limits)
    ids = hammer(recorder, 500)
    assert recorder.flush(20)
    counters = recorder.counters
    assert counters.accepted == len(ids) == link.events()
    assert counters.accepted + counters.dropped["full"] == THREADS * 500
    assert recorder.close(10)


def test_closing_waits_for_a_frame_that_is_being_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """It found the queue empty and no frame under way, and gave up what was between the two."""
    made = outbox.payload_of

    def slowly(events: list[bytes]) -> bytes:
        time.sleep(0.2)
        return made(events)

    monkeypatch.setattr(outbox, "payload_of", slowly)
    link = MemoryLink(lambda _: time.sleep(0.2))
    recorder = Recorder("p", TWO, link, model="m", model_version="1")
    recorder.record(PLAIN)
    assert recorder.close(20)
    counters = recorder.counters
    assert (counters.acked, counters.dropped, link.events()) == (1, {}, 1)


def test_closing_while_threads_record_counts_what_slips_in() -> None:
    link = MemoryLink()
    recorder = Recorder("p", TWO, link, model="m", model_version="1")
    closed = threading.Event()
    accepted, refused = [0] * THREADS, [0] * THREADS

    def until_closed(place: int) -> None:
        while not closed.is_set():
            if recorder.record(PLAIN) is None:
                refused[place] += 1
            else:
                accepted[place] += 1

    threads = [threading.Thread(target=until_closed, args=(place,)) for place in range(THREADS)]
    for thread in threads:
        thread.start()
    time.sleep(0.02)
    recorder.close()
    time.sleep(0.01)
    closed.set()
    for thread in threads:
        thread.join()
    counters = recorder.counters
    assert counters.accepted == sum(accepted)
    assert counters.accepted == counters.acked + counters.dropped.get("exit", 0)
    assert counters.dropped.get("stopped", 0) + counters.dropped.get("full", 0) == sum(refused)
    assert link.events() >= counters.acked


def test_close_is_bounded_and_counts_when_nothing_answers() -> None:
    recorder = Recorder("p", TWO, MemoryLink(down), model="m", model_version="1")
    for _ in range(10):
        recorder.record(PLAIN)
    began = time.monotonic()
    assert recorder.close(0.3) is False
    assert time.monotonic() - began < 2.0
    assert recorder.counters.dropped == {"exit": 10}
    assert recorder.close(0.0) is False
    assert recorder.record(PLAIN) is None


def test_a_link_that_breaks_its_promise_stops_the_recorder_loudly() -> None:
    caught: list[object] = []
    before = threading.excepthook
    threading.excepthook = caught.append
    try:

        def broken(frame: Frame) -> None:
            raise ZeroDivisionError("a bug of the link")

        recorder = Recorder("p", TWO, MemoryLink(broken), model="m", model_version="1")
        recorder.record(PLAIN)
        assert recorder.flush(5) is False
        deadline = time.monotonic() + 5
        while not caught and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        threading.excepthook = before
    assert recorder.counters.dropped == {"refused": 1}
    assert len(caught) == 1
    recorder.close(0.1)


def test_a_thread_that_is_not_let_run_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """uWSGI without threads keeps the interpreter between requests: nothing said why all waited."""
    monkeypatch.setattr(courier, "HELD_UP_S", 0.2)
    with Recorder("p", TWO, MemoryLink(), model="m", model_version="1") as recorder:
        assert recorder.record(PLAIN)
        assert recorder.flush(20)
        for _ in range(2):
            time.sleep(0.1)
            ctypes.PyDLL(None).usleep(400_000)  # as a C program that keeps the interpreter's lock
        time.sleep(0.1)
    (said,) = [one.message for one in caplog.records if "could not run" in one.message]
    assert "enable-threads" in said


@pytest.mark.parametrize("interrupted", ["recorder-switch", "recorder"])
def test_threads_whose_start_a_handler_interrupts_end(
    interrupted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stayed, and the next event began others, which took from the same queue."""
    begun: list[threading.Thread] = []
    start = threading.Thread.start

    def starts(thread: threading.Thread) -> None:
        start(thread)
        begun.append(thread)
        if [one.name for one in begun].count(interrupted) == 1 and thread.name == interrupted:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", starts)
    link = MemoryLink()
    recorder = Recorder("p", TWO, link, model="m", model_version="1")
    with pytest.raises(KeyboardInterrupt):
        recorder.record(PLAIN)
    left = list(begun)
    assert recorder.record(PLAIN) is not None
    for thread in left:
        thread.join(20)
        assert not thread.is_alive()
    assert recorder.close()
    assert link.events() == recorder.counters.accepted
