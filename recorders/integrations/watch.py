"""Watching: which requests are recorded, and copies of bodies that stay within a limit."""

import fnmatch
import re
from collections.abc import Callable, Sequence
from typing import Final

from recorders.errors import InvalidEvent
from recorders.integrations.exchange import Exchange, Extract, record_decided
from recorders.recorder import Recorder

BODY_BYTES_MAX: Final = 262_144
BODILESS: Final = ("GET", "HEAD")  # services do not read what these do not have: it is whole as it is
_FAILED: Final = 400  # an answer from here on is an error: nothing was decided
_PATH_MAX: Final = 80  # of a path in words


class BodyCopy:
    """What has passed of a body. `data` is None until its end, and for ever once it was given up."""

    __slots__ = ("_bytes_max", "_chunks", "_ended", "size")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._chunks: list[bytes] | None = []
        self._ended = False
        self.size = 0

    def add(self, chunk: bytes) -> None:
        """Keep a chunk, or give the copy up when it would go over the limit."""
        self.size += len(chunk)
        if self.size > self._bytes_max:
            self._chunks = None
        elif self._chunks is not None:
            self._chunks.append(bytes(chunk))

    def end(self) -> None:
        """Take note that the whole body has passed."""
        self._ended = True

    def give_up(self) -> None:
        """Keep nothing of this body: it is streamed, or goes a way that cannot be seen."""
        self._chunks = None

    @property
    def data(self) -> bytes | None:
        """The whole body, None when it was not kept."""
        return b"".join(self._chunks) if self._ended and self._chunks is not None else None


class Watch:
    """The rules of one middleware. `paths` are shell patterns, such as `/decide` or `/models/*/decide`.

    `extract` is the service's own code; it runs after the answer has left, under the recorder's guard.
    """

    def __init__(
        self, recorder: Recorder, extract: Extract, paths: Sequence[str], body_bytes_max: int
    ) -> None:
        if isinstance(paths, str) or not paths:
            raise TypeError(f'paths is {paths!r}; expected patterns such as ("/decide",)')
        self.guarded = recorder.guarded
        self.body_bytes_max = body_bytes_max
        self._recorder = recorder
        self._extract = extract
        self._wants = re.compile("|".join(fnmatch.translate(path) for path in paths)).match

    def wants(self, path: str) -> bool:
        """Return whether requests to this path are recorded."""
        return self._wants(path) is not None

    def settle(self) -> None:
        """Let all that was recorded leave: the server may end this process next."""
        self.guarded(self._recorder.settle)

    def record(self, status: int, exchange: Callable[[], Exchange]) -> None:
        """Record what the extractor makes of an exchange. An answer with an error decided nothing."""
        self.guarded(self._record, status, exchange)

    def cut_off(self, status: int, method: str, path: str, sent: int) -> None:
        """Count an answer that began, and of which only `sent` bytes were handed to the server."""
        self.guarded(_cut_off, status, method, path, sent)

    def _record(self, status: int, build: Callable[[], Exchange]) -> None:
        if status >= _FAILED:
            return
        exchange = build()
        decided = self._extract(exchange)
        record_decided(self._recorder, decided, latency_us=exchange.latency_us, trace_id=exchange.trace_id)


def _cut_off(status: int, method: str, path: str, sent: int) -> None:
    if status >= _FAILED:
        return
    raise InvalidEvent(
        "cut_off",
        f"The answer to {method} {path[:_PATH_MAX]} ended after {sent} bytes, before its end.",
        "Expected one that neither its client nor the service leaves on the way.",
        "Record what is streamed where it is decided, with recorder.decision(...).",
    )
