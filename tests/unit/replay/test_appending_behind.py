"""Groups appended behind whoever scores: while the next are scored, in order, none after one that failed."""

from threading import Event, Timer

import pyarrow as pa
import pytest

from harness.appending import _WAITING, behind
from recorders.errors import LinkUnavailable

LONG_S = 60.0


def group(number: int) -> pa.RecordBatch:
    """A group that is known by its number."""
    return pa.record_batch({"number": [number]})


class Log:
    """Takes groups once it is `open`; refuses the one that `refused` names."""

    def __init__(self, *, refused: int | None = None) -> None:
        self.open = Event()
        self.taken: list[int] = []
        self._refused = refused

    def scores(self, scores: pa.RecordBatch) -> None:
        """As `harness.appending.Appending.scores`."""
        assert self.open.wait(LONG_S)
        number = scores.column("number")[0].as_py()
        if number == self._refused:
            raise LinkUnavailable("the server closed the connection")
        self.taken.append(number)


def test_the_next_groups_are_scored_while_one_is_appended() -> None:
    log = Log()
    with behind(log) as to:
        for number in range(_WAITING):
            to.scores(group(number))  # nobody waits for the log
        assert log.taken == []
        log.open.set()
    assert log.taken == list(range(_WAITING))


def test_no_more_wait_than_one_call_answers() -> None:
    log = Log()
    with behind(log) as to:
        for number in range(_WAITING):
            to.scores(group(number))
        opening = Timer(0.1, log.open.set)
        opening.start()
        to.scores(group(_WAITING))
        assert log.open.is_set()
        opening.join()
    assert log.taken == list(range(_WAITING + 1))


def scored(log: Log, groups: int, *, ends: BaseException | None = None) -> None:
    """Hand over so many groups, and end by an error."""
    log.open.set()
    with behind(log) as to:
        for number in range(groups):
            to.scores(group(number))
        if ends is not None:
            raise ends


@pytest.mark.parametrize("groups", [3, 3 * _WAITING])
def test_after_a_group_that_failed_none_is_appended(groups: int) -> None:
    log = Log(refused=1)
    with pytest.raises(LinkUnavailable, match="closed the connection"):
        scored(log, groups)
    assert log.taken == [0]


def test_what_was_scored_is_appended_however_scoring_ends() -> None:
    log = Log()
    with pytest.raises(KeyboardInterrupt):
        scored(log, 3, ends=KeyboardInterrupt())
    assert log.taken == [0, 1, 2]
