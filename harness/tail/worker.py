"""The tail worker: a thread for each target, one worker for each tail over all processes (docs/adr/0032)."""

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import msgspec

from harness.challengers import challenger, keep_account
from harness.errors import DatabaseUnavailable
from harness.lease import Lease, is_held
from harness.log.log import Log
from harness.model_ends import can_be_said, end_by
from harness.models import get_model
from harness.replay_batches import GROUP_ROWS
from harness.replay_errors import TooManyTails
from harness.tail.follower import Follower, begin, place_of, say
from harness.tail.room import connections, room
from harness.tail.tails import ASKED, BROKEN, NO_END, RESUMED, STOPPED, Tail, ask_again, find_tail, tail_id
from harness.tail.targets import End, Target, end_of
from recorders.append import CHANNEL
from recorders.errors import HarnessError, LinkUnavailable
from replay.loading_errors import ModelNotServed
from replay.model import Model
from replay.model_errors import ModelUnavailable
from replay.score import BLOCK_ROWS

LEASE = "tail"

Told = Callable[[Target, str], None]
OpenLog = Callable[[], Log]


class Pace(msgspec.Struct, frozen=True):
    """How a worker waits and what it gives up. Times in seconds.

    `poll_s`: the longest wait for a hint that decisions were appended. `linger_s`: the pause after fewer
    decisions than a full step, so that they are scored some at a time. `away_s`: the longest pause before a
    server that was away is asked again. `shed_after`: with more positions than that waiting they are left
    out, counted in the log; None: never. `until`: the last position to score.
    """

    poll_s: float = 0.5
    linger_s: float = 0.01
    look_s: float = 1.0
    retry_s: float = 1.0
    away_s: float = 30.0
    shed_after: int | None = None
    until: int | None = None


def serve(
    open_log: OpenLog,
    choose: Callable[[Log], Sequence[Target]],
    stop: threading.Event,
    *,
    told: Told,
    pace: Pace | None = None,
    folder: Path | None = None,
) -> int:
    """Follow what `choose` names until `stop` is set or all of it has ended; return how many targets failed.

    `choose` is asked again and again: an experiment whose window begins later gets its thread then. It is
    over when it names nothing new and nothing runs any more. An error that is none of ours is raised again.
    What comes later than others and has no room beside them waits for one of them to end, and says so.

    Raises:
        TooManyTails: what is there from the beginning has no room (`harness.tail.room`). A drain takes turns.
    """
    pace = pace or Pace()
    running: dict[Target, Future[bool]] = {}
    work = partial(follow, open_log, stop=stop, told=told, pace=pace, folder=folder)
    with open_log() as log, ThreadPoolExecutor(most := room(log)) as pool:
        try:
            while not stop.is_set():
                # While the database does not answer, what runs goes on asking by itself.
                with suppress(DatabaseUnavailable):
                    chosen = choose(log)
                    if not running and pace.until is None and len(chosen) > most:
                        raise TooManyTails(len(chosen), most, connections(log))
                    for target in chosen:
                        if target not in running:
                            if sum(not each.done() for each in running.values()) >= most:
                                told(target, f"waits: no room beside {most} others until one of them ends")
                            running[target] = pool.submit(work, target)
                    # Nothing to follow yet may come; nothing to drain will not.
                    if (chosen or pace.until is not None) and all(each.done() for each in running.values()):
                        break
                for each in running.values():
                    if each.done():
                        each.result()
                stop.wait(pace.look_s)
        finally:
            stop.set()
    return sum(not each.result() for each in running.values())


def follow(
    open_log: OpenLog,
    target: Target,
    *,
    stop: threading.Event,
    told: Told,
    pace: Pace,
    folder: Path | None = None,
) -> bool:
    """Follow one target until it ends or `stop` is set; return False when its model could not go on.

    While another worker has the tail, this one waits to take over. While the database does not answer, it
    asks again: what was stored meanwhile is read anew, so nothing is scored twice. So it does while the
    server of a model that it has followed does not answer.
    """
    began = False
    while not stop.is_set():
        try:
            with ExitStack() as stack:
                log = stack.enter_context(open_log())
                if _is_followed(log, target, pace):
                    stop.wait(pace.retry_s)
                    continue
                # Who asks from now on means us, also while the model is opened.
                since = log.head().position
                model = _opened(stack, log, target, folder)
                tail = begin(log, model, target.model, target.decision_point, target.start)
                with Lease(log.url, LEASE, tail.id, channel=CHANNEL) as lease:
                    if lease.held:
                        turn, began = _Turn(log, model, tail, target, lease, pace, since), True
                        try:
                            went_on = turn.run(stop, told)
                        except HarnessError as error:
                            if can_be_said(error):
                                turn.ended(error)
                                keep_account(log, model, tail.id)
                            raise
                        keep_account(log, model, tail.id)
                        return went_on
        except (LinkUnavailable, DatabaseUnavailable) as error:
            told(target, f"waits: {error}")
        except ModelNotServed as error:
            told(target, f"{'waits' if began else 'stopped'}: {error}")
            if not began:
                return False
        except HarnessError as error:
            told(target, f"stopped: {error}")
            return False
        stop.wait(pace.retry_s)
    return True


def _is_followed(log: Log, target: Target, pace: Pace) -> bool:
    """Return whether another worker has the tail now: whoever waits for it needs no process of the model.

    Who drains asks again a worker that was getting ready when it was asked.
    """
    tail = _tail_id(log, target)
    followed = is_held(log.url, LEASE, tail)
    if followed and pace.until is not None:
        ask_again(log, tail)
    return followed


def _opened(stack: ExitStack, log: Log, target: Target, folder: Path | None) -> Model:
    """Return the model; of a tail that began before, the log is told once why it cannot go on."""
    try:
        return stack.enter_context(
            challenger(log, target.model, decision_point=target.decision_point, folder=folder)
        )
    except HarnessError as error:
        tail = find_tail(log, _tail_id(log, target)) if can_be_said(error) else None
        if tail is not None and log.controls("tail.*", tail.id)[-1].type != BROKEN:
            say(log, tail, place_of(log, tail), BROKEN, **end_by(error))
        raise


def _tail_id(log: Log, target: Target) -> str:
    info = get_model(log, target.model)
    return tail_id(info.digest, info.adapter, target.decision_point, target.start)


class _Turn:
    """One worker's time with one tail: from taking the lease to giving it back.

    What was asked of whoever follows up to position `since` was asked of another.
    """

    def __init__(
        self, log: Log, model: Model, tail: Tail, target: Target, lease: Lease, pace: Pace, since: int
    ) -> None:
        self._log, self._target, self._lease, self._pace = log, target, lease, pace
        self._follower, self._since = Follower(log, model, tail), since
        self._resumed()
        self._looked, self._asked = 0.0, False
        self._end: End | None = None
        self._pause_s = self._again = 0.0

    def run(self, stop: threading.Event, told: Told) -> bool:
        follower, pace = self._follower, self._pace
        told(self._target, f"follows from position {follower.place.through + 1}")
        while not stop.is_set():
            self._look()
            if self._asked:
                return self._leave("asked to stop", told)
            head = self._log.head().position
            limit = min(head, NO_END if self._end is None else self._end.stop - 1)
            # Asked of the log only where it can be: what waits lies among what was not seen.
            unseen = limit - follower.place.through
            if pace.shed_after is not None and unseen > pace.shed_after < follower.lag(limit):
                count = follower.shed(limit)
                told(
                    self._target,
                    f"left out {count:,} decisions: more than {pace.shed_after:,} positions waited",
                )
            scored = self._step(limit, told)
            if follower.failed_in_a_row >= BLOCK_ROWS:
                return self._broken(told)
            if self._end is not None and not scored and follower.place.through >= self._end.stop - 1:
                stop_at = {"stop": self._end.stop} if self._end.final else {}
                return self._leave(self._end.reason, told, **stop_at)
            if not scored:
                self._wait(stop)
            elif scored < GROUP_ROWS:
                stop.wait(pace.linger_s)
        return self._leave("its worker was told to end", told)

    def _wait(self, stop: threading.Event) -> None:
        """Wait for a hint as long as `poll_s` says, and no longer than until it is told to end, or where."""
        end, until = self._end, time.monotonic() + self._pace.poll_s
        while (left := until - time.monotonic()) > 0 and not (stop.is_set() or self._asked):
            if self._end != end or self._lease.wait(min(left, self._pace.look_s)):
                return
            self._look()

    def _step(self, limit: int, told: Told) -> int:
        """Return how many decisions were scored: none while the server that scores is away.

        Its end and its return are said in the log, once each. Who drains does not wait for it.
        """
        if time.monotonic() < self._again:
            return 0
        try:
            scored = self._follower.step(limit)
        except ModelUnavailable as error:
            if self._pace.until is not None:
                raise
            if not self._pause_s:
                self.ended(error)
                told(self._target, f"waits: {error}")
            self._pause_s = min(2 * self._pause_s or self._pace.retry_s, self._pace.away_s)
            self._again = time.monotonic() + self._pause_s
            return 0
        if self._pause_s and scored:
            self._pause_s = 0.0
            self._resumed()
            told(self._target, "goes on")
        return scored

    def _resumed(self) -> None:
        self._follower.say(RESUMED, worker=f"{socket.gethostname()}:{os.getpid()}")

    def ended(self, error: HarnessError) -> None:
        """Say in the log that it cannot go on, and why: a list of tails shows no end otherwise."""
        self._follower.say(BROKEN, **end_by(error))

    def _look(self) -> None:
        """Look, once in a while, whether it is asked to stop, has an end, and what replays have done."""
        now = time.monotonic()
        if now - self._looked < self._pace.look_s:
            return
        self._looked = now
        self._follower.pass_over()
        asked = [
            event
            for event in self._log.controls(ASKED, self._follower.tail.id)
            if event.position > self._since
        ]
        self._asked = any(event.body["what"] == "stop" for event in asked)
        ends = [End(event.body["through"] + 1, "asked to drain") for event in asked]
        if self._pace.until is not None:
            ends.append(End(self._pace.until + 1, "drained"))
        own = end_of(self._log, self._target)
        self._end = min([*ends, *([] if own is None else [own])], key=lambda end: end.stop, default=None)

    def _leave(self, reason: str, told: Told, **more: int) -> bool:
        self._follower.say(STOPPED, reason=reason, **more)
        place = self._follower.place
        told(self._target, f"ended at position {place.through}: {reason}; {place.rows:,} scored")
        return True

    def _broken(self, told: Told) -> bool:
        self._follower.say(BROKEN, failed_in_a_row=self._follower.failed_in_a_row)
        told(
            self._target,
            f"stopped: its last {self._follower.failed_in_a_row:,} decisions all failed. "
            f'"harness model check" says why; the other challengers go on.',
        )
        return False
