"""The engine of one machine: a process for each worker, a fresh one for each that dies (docs/adr/0080)."""

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from typing import Any

from harness.engines.belongings import belong
from harness.engines.engine import Part, Result
from harness.engines.errors import PartPoisoned
from replay.terminated import Terminated

ATTEMPTS = 3
_INTERRUPTED = 130
# What workers are asked to do, imported once where they are forked from, not once in each. pyarrow imports
# pandas when it is first given values, to see whether they are of it; where there is none it is passed over.
WARM = ("harness.mapped_parts", "harness.scored_parts", "pandas", "pyarrow.pandas_compat")


class Local:
    """`workers` processes, each with one part at a time, forked from a process that runs nothing else.

    That one, Python's own fork server, is started here: it imports what workers need while whoever asks gets
    ready. It has the environment of now, no threads of ours and no connections, and ends with this process.

    A worker that is killed costs the part it had in hand, which is run again in a fresh one. A part that has
    ended `attempts` workers is named, once the parts before it are done. Each worker is a pool of its own:
    one pool of several would say of every part in hand that it was lost, and the innocent would be blamed
    with the guilty.
    """

    def __init__(self, workers: int, *, attempts: int = ATTEMPTS) -> None:
        assert workers >= 1 <= attempts
        self.workers, self.attempts = workers, attempts
        belong()
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(list(WARM))
        with _uninterrupted():
            forkserver.ensure_running()

    def map(self, fn: Callable[[Part], Result], parts: Sequence[Part]) -> Iterator[tuple[int, Result]]:
        """Yield (index, result) of every part, as they are done.

        Raises:
            PartPoisoned: a part ended its worker again and again. All before it were yielded, as far as none
                of them did the same.
        """
        with self.staying() as engine:
            yield from engine.map(fn, parts)

    @contextmanager
    def staying(self) -> Iterator["_Staying"]:
        """Yield an engine whose workers stay from one map to the next, until the block ends.

        A fresh one takes all of its memory anew, a page at a time (docs/adr/0100).
        """
        engine = _Staying(self)
        try:
            yield engine
        finally:
            engine.close()


class _Staying:
    """Maps as `Local` does, and keeps those of its workers that have nothing to do for the next map."""

    def __init__(self, local: Local) -> None:
        self._local, self._idle = local, list[ProcessPoolExecutor]()

    def close(self) -> None:
        """End the workers."""
        while self._idle:
            self._idle.pop().shutdown()

    def map(self, fn: Callable[[Part], Result], parts: Sequence[Part]) -> Iterator[tuple[int, Result]]:
        """Yield as `Local.map` does."""
        workers, attempts = self._local.workers, self._local.attempts
        todo, deaths = deque(range(len(parts))), Counter[int]()
        running: dict[Future[Result], tuple[int, ProcessPoolExecutor]] = {}
        poisoned: PartPoisoned | None = None
        try:
            done: list[tuple[int, Result]] = []
            while todo or running:
                while todo and len(running) < workers:
                    future, worker = self._handed(fn, parts[todo[0]])
                    running[future] = (todo.popleft(), worker)
                # Only now that all have something to do: whoever asks takes his time with a result.
                yield from done
                done = []
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    index, worker = running.pop(future)
                    try:
                        result = future.result()
                    except BrokenProcessPool as died:
                        worker.shutdown()
                        deaths[index] += 1
                        todo.appendleft(index)
                        if deaths[index] == attempts:
                            poisoned = PartPoisoned(index, len(parts), parts[index], attempts)
                            poisoned.__cause__ = died
                        # What lies before it was begun before it, and is worth its end: a replay keeps it.
                        todo = deque(each for each in todo if poisoned is None or each < poisoned.index)
                        continue
                    self._idle.append(worker)
                    done.append((index, result))
            yield from done
            if poisoned is not None:
                raise poisoned
        finally:
            for _index, worker in running.values():
                worker.shutdown()

    def _handed(self, fn: Callable[[Any], Result], part: Any) -> tuple[Future[Result], ProcessPoolExecutor]:
        """Return the future of a part and its worker: an idle one that lives, else a fresh one."""
        while self._idle:
            worker = self._idle.pop()
            try:
                return worker.submit(fn, part), worker
            except BrokenProcessPool:  # it was killed while it had nothing to do
                worker.shutdown()
        heeds = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
        worker = ProcessPoolExecutor(
            1, mp_context=self._local.context, initializer=_begin_worker, initargs=(heeds,)
        )
        return worker.submit(fn, part), worker


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let a process that is started in this block ignore SIGINT, which a terminal sends to all of them.

    The fork server would say so with a traceback out of the midst of its imports. It ends with us anyway.
    """
    if threading.current_thread() is not threading.main_thread():  # another may not set what a signal does
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin_worker(heeds: bool) -> None:
    """Heed SIGINT if whoever began it does, and end when that one is gone: it would wait for ever."""
    if heeds:
        signal.signal(signal.SIGINT, _interrupted)
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker has been begun by somebody"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _interrupted(_number: int, _frame: Any) -> None:
    # Not KeyboardInterrupt: of a worker that has nothing to do, its pool would show the traceback.
    raise Terminated(_INTERRUPTED)
