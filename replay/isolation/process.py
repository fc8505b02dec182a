"""One child process from the outside: started, asked with a deadline, ended, and its end told in words."""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from recorders.errors import CorruptBatch, HarnessError
from replay.adapters.answers import Answer
from replay.adapters.guard import CallFailed, plain
from replay.adapters.reasons import BAD_ANSWER, CRASH, MEMORY, TIMEOUT
from replay.isolation import wire
from replay.isolation.limits import Limits
from replay.isolation.messages import (
    Measured,
    Opened,
    Opening,
    Packer,
    Refused,
    answer_of,
    measured_of,
)
from replay.isolation.nursery import NurseryLost, new_home, nursery_for, search_path
from replay.isolation.resident import held_bytes, resident_bytes
from replay.loading_errors import ModelNotLoaded
from replay.model_errors import ModelError

_PIPE_BYTES = 2**20
_SET_PIPE_SIZE = 1031
# What is resident beyond the limit on writable memory: the libraries' own pages.
_LIBRARIES_MB = 256
_WORDS = 600
# What is printed by C++ and by Python when they end for want of memory.
_SWOLLEN = (b"bad_alloc", b"MemoryError")
# How long a process that closed its pipe may take to end.
_END_S = 1.0


class ChildProcess:
    """A challenger's process, without a model until it is opened.

    `libraries` are imported before it is forked: scikit-learn alone takes seconds.
    """

    def __init__(self, limits: Limits, libraries: Sequence[str] = ()) -> None:
        self._limits = limits
        self._libraries = list(libraries)
        self._nursery = nursery_for(limits.threads)
        self._folder = new_home()
        self._swollen = self._ended = False
        self._blocks = Packer()
        inner_read, to_child = os.pipe()
        from_child, inner_write = os.pipe()
        noise, inner_noise = os.pipe()
        inner = (inner_read, inner_write, inner_noise)
        _widen(from_child)
        self._room = _widen(to_child) * 3 // 4
        self._line = wire.Line(to_child, from_child, noise, self._watch)
        try:
            self._child = self._nursery.fork(self._order(), inner)
        except NurseryLost as error:
            self._line.close()
            self._folder.cleanup()
            raise CallFailed(f"{CRASH}no process: {error}", killed=True) from error
        finally:
            for fd in inner:
                os.close(fd)

    def _order(self) -> dict[str, Any]:
        *path, root = search_path()
        own = [str(Path(root) / name) for name in ("harness", "policies", "recorders", "replay")]
        python = [sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parents[1])]
        readable = path + own + python
        limits = msgspec.to_builtins(self._limits)
        return {
            "home": self._folder.name,
            "path": [*path, root],
            "readable": readable,
            "limits": limits,
            "libraries": self._libraries,
        }

    @property
    def noise_bytes(self) -> int:
        """How much it has printed."""
        return self._line.noise_bytes

    def open(self, asked: Opening) -> Opened:
        """Load the model.

        Raises:
            ModelError: what loading says; a load that hangs, crashes or swells is `ModelNotLoaded`.
        """
        payload = msgspec.msgpack.encode(asked)
        try:
            kind, reply = self._ask(wire.OPEN, [payload], self._limits.open_timeout_s)
            if kind == wire.REFUSED:
                raise _error_of(msgspec.msgpack.decode(reply, type=Refused))
            return msgspec.msgpack.decode(reply, type=Opened)
        except (CallFailed, msgspec.DecodeError) as failed:
            raise ModelNotLoaded(asked.uri, plain(str(failed))) from failed

    def score(
        self, blocks: Sequence[pa.RecordBatch], *, probe: bool = False
    ) -> Iterator[tuple[Answer | None, Measured]]:
        """Yield the answer to each block, None for a `probe`, whose answer is of no interest.

        The next blocks are on their way while one is answered, as many as the pipe holds: a frame that waits
        for room waits with nobody to read the replies. Each has the whole time limit, from the answer to the
        one before it on.

        Raises:
            CallFailed: with `killed`, when the process must be ended; the account is then lost.
        """
        kind, limit_s = wire.PROBE if probe else wire.SCORE, self._limits.timeout_s
        under_way, held, deadline = deque[tuple[int, int]](), 0, 0.0
        try:
            for block in blocks:
                pieces = self._blocks.pieces(block)
                size = sum(map(len, pieces))
                while under_way and held + size > self._room:
                    yield self._heard(under_way[0][0], deadline, probe=probe)
                    held -= under_way.popleft()[1]
                    deadline = time.monotonic() + limit_s
                deadline = deadline if under_way else time.monotonic() + limit_s
                self._line.send(kind, pieces, deadline)
                under_way.append((block.num_rows, size))
                held += size
            for rows, _size in under_way:
                yield self._heard(rows, deadline, probe=probe)
                deadline = time.monotonic() + limit_s
        except wire.Broken as broken:
            raise CallFailed(self._why(broken, limit_s), killed=True) from broken

    def _heard(self, rows: int, deadline: float, *, probe: bool) -> tuple[Answer | None, Measured]:
        _kind, reply = self._line.hear(deadline)
        try:
            measured = measured_of(reply)
            return None if probe or measured.failure else answer_of(reply, rows), measured
        except (CorruptBatch, ValueError, msgspec.DecodeError, OverflowError) as error:
            raise CallFailed(f"{BAD_ANSWER}{plain(str(error))}", killed=True) from error

    def remember(self, kind: int, payload: bytes | memoryview) -> bytes:
        """Return the reply to one of the questions that only a model that remembers is asked.

        Raises:
            CallFailed: with `killed`, when the process must be ended; else its own code raised.
        """
        reply, state = self._ask(kind, [payload], self._limits.timeout_s, most=wire.STATE_BYTES_MAX)
        if reply == wire.RAISED:
            raise CallFailed(plain(state.decode(errors="replace")))
        return state

    def _ask(
        self,
        kind: int,
        payload: Sequence[bytes | memoryview],
        timeout_s: float,
        *,
        most: int = wire.REPLY_BYTES_MAX,
    ) -> tuple[int, bytes]:
        try:
            return self._line.ask(kind, payload, timeout_s, most=most)
        except wire.Broken as broken:
            raise CallFailed(self._why(broken, timeout_s), killed=True) from broken

    def _watch(self) -> None:
        """End the wait when more memory is resident than was granted: shared memory counts only here."""
        most = (self._limits.memory_mb + _LIBRARIES_MB) * 2**20
        if resident_bytes(self._child) > most and held_bytes(self._child) > most:
            self._swollen = True
            raise wire.Broken("it swelled")

    @property
    def resident_mb(self) -> int:
        """How many megabytes it holds now, with all that it started; 0 where the system does not tell."""
        return resident_bytes(self._child) // 2**20

    def _why(self, broken: wire.Broken, timeout_s: float) -> str:
        """Return the reason, in words that are the same on each run: the log counts them."""
        if broken.late:
            return f"{TIMEOUT}no answer in {timeout_s:g} s"
        try:
            code = self._nursery.wait(self._child, _END_S) if broken.closed else None
        except NurseryLost as lost:
            return f"{CRASH}no process: {lost}"
        self._line.listen()
        if self._swollen or any(words in self._line.last_words for words in _SWOLLEN):
            return f"{MEMORY}more than {self._limits.memory_mb} MB"
        if code is None:
            return f"{BAD_ANSWER}{broken}"
        return f"{CRASH}{signal.Signals(-code).name}" if code < 0 else f"{CRASH}exit code {code}"

    @property
    def last_words(self) -> str:
        """The end of what it printed, for people; never for the log."""
        return plain(self._line.last_words.decode(errors="replace"))[-_WORDS:]

    def end(self) -> None:
        """End the process and whatever it started, and forget its folder. Can be called again."""
        if not self._ended:
            self._ended = True
            self._nursery.end(self._child)
            self._line.close()
            self._folder.cleanup()


def _widen(fd: int) -> int:
    """Let a pipe hold some blocks, where the system lets it; return its bytes, 0 when it is as it was."""
    import fcntl

    try:
        return fcntl.fcntl(fd, _SET_PIPE_SIZE, _PIPE_BYTES)
    except OSError:
        return 0


def _error_of(refused: Refused) -> ModelError:
    """Return the error that the child raised, of its own class; the words are a stranger's."""
    known: list[type[ModelError]] = [ModelError]
    for error_class in known:
        known += error_class.__subclasses__()
    kind = next((one for one in known if one.__name__ == refused.error), ModelNotLoaded)
    error: ModelError = kind.__new__(kind)
    HarnessError.__init__(
        error, *(text[:2000] for text in (refused.happened, refused.expected, refused.remedy))
    )
    return error
