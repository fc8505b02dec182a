"""An executor that gives up is told as an error of ours; what the function raises stays what it is."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from threading import Event

import pytest

from harness.engines.errors import ClusterFailed
from harness.engines.futures import Futures
from tests.support.parts import poison


def test_a_pool_whose_worker_was_killed_is_named_then_and_ever_after() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        for _again in range(2):
            with pytest.raises(ClusterFailed, match=r"ProcessPoolExecutor gave up: .* terminated abruptly"):
                list(Futures(pool).map(poison, [2]))


def test_parts_that_the_executor_cancels_are_not_waited_for() -> None:
    events = [Event(), Event(), Event()]
    events[0].set()
    with ThreadPoolExecutor(1) as pool:
        found = Futures(pool).map(Event.wait, events)
        assert next(found) == (0, True)
        pool.shutdown(wait=False, cancel_futures=True)
        with pytest.raises(ClusterFailed, match="ThreadPoolExecutor gave up: CancelledError"):
            next(found)
        events[1].set()


def test_an_executor_that_was_shut_down_is_named() -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(ClusterFailed, match=r"ThreadPoolExecutor gave up: .* after shutdown"):
        list(Futures(pool).map(divided_by_zero, [1]))


def test_an_error_of_the_function_is_its_own() -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(ZeroDivisionError):
        list(Futures(pool).map(divided_by_zero, [1]))


def divided_by_zero(part: int) -> int:
    return part // 0


def test_a_long_reason_is_shown_with_its_end_and_kept_whole() -> None:
    error = ClusterFailed("Spark", RuntimeError("it began " + "at org.apache " * 1000 + "and the cause."))
    assert error.reason.count("at org.apache") == 1000
    assert str(error).startswith("Spark gave up: it began at")
    assert f"[{len(error.reason) - 600} characters]" in str(error)
    assert "and the cause. Expected" in str(error)
    short = ClusterFailed("Spark", RuntimeError())
    assert short.reason == "RuntimeError"
