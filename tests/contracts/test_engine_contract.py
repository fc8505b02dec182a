"""What every engine promises: the same suite in this process, in processes, and on any executor."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.engines.engine import Engine, InProcess
from harness.engines.futures import Futures
from harness.engines.local import Local
from harness.errors import UnknownPosition
from tests.support.parts import refused, square


@pytest.fixture(params=["in-process", "local", "futures"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "in-process":
        yield InProcess()
    elif request.param == "local":
        yield Local(2)
    else:
        with ThreadPoolExecutor(2) as pool:
            yield Futures(pool)


def test_every_part_has_its_result_once(engine: Engine) -> None:
    found = list(engine.map(square, range(7)))
    assert sorted(found) == [(index, index * index) for index in range(7)]


def test_no_part_has_no_result(engine: Engine) -> None:
    assert list(engine.map(square, [])) == []


def test_an_error_of_ours_arrives_with_its_values(engine: Engine) -> None:
    with pytest.raises(UnknownPosition) as caught:
        list(engine.map(refused, range(5)))
    assert caught.value.position == 7
    assert sorted(engine.map(square, [2])) == [(0, 4)]


def test_whoever_asks_may_stop_early(engine: Engine) -> None:
    found = engine.map(square, range(5))
    next(found)
    found.close()  # type: ignore[attr-defined]  # all of ours are generators
