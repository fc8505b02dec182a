"""WSGI middleware: Flask, Django, Bottle and every other WSGI service, under any server."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from recorders.integrations.exchange import Exchange, Extract
from recorders.integrations.watch import BODILESS, BODY_BYTES_MAX, BodyCopy, Watch
from recorders.recorder import Recorder

Environ = dict[str, Any]
App = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class WsgiMiddleware:
    """Records the decisions that `app` answers requests with. Chunks pass as they are, when they are.

    Bodies are copied on their way, never read ahead and never beyond `body_bytes_max`; of an answer that
    is streamed (no content-length, and not one chunk) nothing is copied. The extractor runs when the
    server closes the answer; one of which the server took some chunks and not the last is counted
    (`rejected["cut_off"]`, docs/adr/0103).
    """

    def __init__(
        self,
        app: App,
        *,
        recorder: Recorder,
        extract: Extract,
        paths: Sequence[str] = ("*",),
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        self.app = app
        self._watch = Watch(recorder, extract, paths, body_bytes_max)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        watch = self._watch
        if not watch.wants(_path(environ)):
            return self.app(environ, start_response)
        passing = _Passing(environ, watch.body_bytes_max)
        if "wsgi.input" in environ:
            environ["wsgi.input"] = _Input(environ["wsgi.input"], watch, passing)

        def starting(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            write = start_response(status, headers, exc_info) if exc_info else start_response(status, headers)
            watch.guarded(passing.starts, status, headers)  # a server that has sent others raises before

            def writing(data: bytes) -> Any:
                watch.guarded(passing.writes, data)
                return write(data)

            return writing

        answer = self.app(environ, starting)
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(answer, wrapper):
            passing.response.give_up()  # the server sends the file by itself, by the type of this object
            passing.finish()
            passing.tell(watch)
            return answer
        kind = _SizedAnswer if hasattr(answer, "__len__") else _Answer
        return kind(answer, watch, passing)


class _Passing:
    """One request and its answer while they pass."""

    def __init__(self, environ: Environ, bytes_max: int) -> None:
        self._since_ns = time.perf_counter_ns()
        self._environ = environ
        self._headers: dict[str, str] = {}
        self._latency_us = 0
        self.request = BodyCopy(bytes_max)
        self.response = BodyCopy(bytes_max)
        self.status = 0
        self.complete = False
        length = str(environ.get("CONTENT_LENGTH") or "")
        self._length = int(length) if length.isdecimal() else None
        if environ.get("REQUEST_METHOD") in BODILESS:
            self.request.end()

    def came(self, data: bytes, *, to_the_end: bool) -> None:
        self.request.add(data)
        if to_the_end or not data or self.request.size == self._length:
            self.request.end()

    def starts(self, status: str, headers: list[tuple[str, str]]) -> None:
        self.status = int(status[:3])
        self._headers = {name.lower(): value for name, value in headers}

    def writes(self, data: bytes) -> None:
        self.response.give_up()
        self.response.add(data)

    def goes(self, chunk: bytes, *, only: bool) -> None:
        length = self._headers.get("content-length")
        if length is None and not only:
            self.response.give_up()
        self.response.add(chunk)
        if length is not None and length == str(self.response.size):
            self.finish()  # a client that leaves now has its answer all the same

    def finish(self) -> None:
        self.response.end()
        self._latency_us = self._latency_us or (time.perf_counter_ns() - self._since_ns) // 1000
        self.complete = True

    def tell(self, watch: Watch) -> None:
        """Record the exchange, or count that its answer was cut off. One that never began decided nothing."""
        if self.complete:
            watch.record(self.status, self.exchange)
        elif self.response.size:
            method, path = self._environ["REQUEST_METHOD"], _path(self._environ)
            watch.cut_off(self.status, method, path, self.response.size)

    def exchange(self) -> Exchange:
        environ = self._environ
        headers = {
            name[5:].replace("_", "-").lower(): str(value)
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        headers |= {
            name.replace("_", "-").lower(): str(environ[name])
            for name in ("CONTENT_TYPE", "CONTENT_LENGTH")
            if environ.get(name)
        }
        return Exchange(
            method=environ["REQUEST_METHOD"],
            path=_path(environ),
            query=environ.get("QUERY_STRING", ""),
            headers=headers,
            request=self.request.data,
            status=self.status,
            response_headers=self._headers,
            response=self.response.data,
            latency_us=self._latency_us,
        )


class _Input:
    """The request's body for the service; what it reads is copied."""

    def __init__(self, body: Any, watch: Watch, passing: _Passing) -> None:
        self._body = body
        self._guarded = watch.guarded
        self._passing = passing

    def read(self, *size: int) -> bytes:
        data: bytes = self._body.read(*size)
        self._guarded(self._came, data, not size or size[0] is None or size[0] < 0)
        return data

    def readline(self, *size: int) -> bytes:
        data: bytes = self._body.readline(*size)
        self._guarded(self._came, data, False)  # noqa: FBT003  # guarded passes by position
        return data

    def readlines(self, *hint: int) -> list[bytes]:
        lines: list[bytes] = self._body.readlines(*hint)
        self._guarded(self._came, b"".join(lines), not hint)
        return lines

    def __iter__(self) -> Iterator[bytes]:
        for line in self._body:
            self._guarded(self._came, line, False)  # noqa: FBT003  # as above
            yield line
        self._guarded(self._came, b"", True)  # noqa: FBT003  # as above

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    def _came(self, data: bytes, to_the_end: bool) -> None:
        self._passing.came(data, to_the_end=to_the_end)


class _Answer:
    """The answer for the server: its chunks one by one, and one `close`."""

    _only = False

    def __init__(self, answer: Any, watch: Watch, passing: _Passing) -> None:
        self._told = False
        self._answer = answer
        self._watch = watch
        self._passing = passing

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._answer:
            self._watch.guarded(self._goes, chunk)
            yield chunk
        self._passing.finish()

    def close(self) -> None:
        """Close the service's answer, then record, once."""
        try:
            if hasattr(self._answer, "close"):
                self._answer.close()
        finally:
            if not self._told:
                self._told = True
                self._watch.guarded(self._passing.tell, self._watch)

    def _goes(self, chunk: bytes) -> None:
        self._passing.goes(chunk, only=self._only)


class _SizedAnswer(_Answer):
    """As above for a list: servers ask how many chunks it has, to set a content-length for one."""

    def __init__(self, answer: Any, watch: Watch, passing: _Passing) -> None:
        super().__init__(answer, watch, passing)
        self._left = watch.guarded(len, answer) or 0
        self._only = self._left == 1

    def _goes(self, chunk: bytes) -> None:
        super()._goes(chunk)
        self._left -= 1
        if not self._left:
            self._passing.finish()  # as with a length: the server has it all, whoever leaves now

    def __len__(self) -> int:
        return len(self._answer)


def _path(environ: Environ) -> str:
    """Return the path as the client meant it: WSGI hands its bytes over as if they were Latin-1."""
    path = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
    return path.encode("latin-1", "replace").decode("utf-8", "replace")
