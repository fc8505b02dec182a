"""Speak with what is outside: one request, no redirects, ten seconds, a bounded answer."""

import base64
import http.client
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from typing import Any, Final

from harness.integrity.errors import OutsideUnavailable

PATIENCE_S: Final = 10
ANSWER_BYTES_MAX: Final = 64 * 2**10


def post(what: str, url: str, body: bytes, kind: str) -> tuple[int, bytes]:
    """Return status and body of the answer to a POST; `what` names the receiver in an error.

    A login in the URL is sent as HTTP asks for it. An answer that is not whole in time is none, however
    steadily it comes: a timeout of sockets would begin anew with each byte.

    Raises:
        OutsideUnavailable: no answer, one that is too long, or one that takes too long.
    """
    plain, login = _without_login(url)
    line = _Line(PATIENCE_S)
    opener = urllib.request.build_opener(_NoRedirect, line.http(), line.https())
    headers = {"Content-Type": kind} | login
    request = urllib.request.Request(plain, data=body, headers=headers, method="POST")  # noqa: S310 - http(s) alone
    try:
        with line:
            status, data = _answer(opener, request)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = line.late or str(getattr(error, "reason", error)) or type(error).__name__
        raise OutsideUnavailable(what, reason) from error
    if line.late:
        raise OutsideUnavailable(what, line.late)
    if len(data) > ANSWER_BYTES_MAX:
        raise OutsideUnavailable(what, f"its answer is longer than {ANSWER_BYTES_MAX} bytes")
    return status, data


def shown(target: str) -> str:
    """Return a target without what may be secret: a URL's login and query.

    >>> shown("https://ada:pw@hook.example/x?token=1"), shown("/mnt/audit/checkpoints")
    ('https://hook.example/x', '/mnt/audit/checkpoints')
    """
    scheme, mark, rest = target.partition("://")
    if not mark:
        return target
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2].partition('?')[0]}{slash}{path.partition('?')[0]}"


def _answer(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> tuple[int, bytes]:
    try:
        with opener.open(request, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read(ANSWER_BYTES_MAX + 1)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(ANSWER_BYTES_MAX + 1)


def _without_login(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL without its login, and the header that says the login; urllib takes both for a host."""
    parts = urllib.parse.urlsplit(url)
    login, mark, host = parts.netloc.rpartition("@")
    if not mark:
        return url, {}
    token = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
    return parts._replace(netloc=host).geturl(), {"Authorization": f"Basic {token}"}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing: an address comes from the configuration, never from an answer."""


class _Line:
    """The connection of one request, cut after `patience_s`; `late` says so then."""

    def __init__(self, patience_s: float) -> None:
        self.late = ""
        self._patience_s = patience_s
        self._socket: socket.socket | None = None
        self._watch = threading.Timer(patience_s, self._cut)
        self._watch.daemon = True

    def __enter__(self) -> None:
        self._watch.start()

    def __exit__(self, *_: object) -> None:
        self._watch.cancel()

    def http(self) -> urllib.request.HTTPHandler:
        """Return what opens http://."""
        line = self

        class Connection(http.client.HTTPConnection):
            def connect(self) -> None:
                super().connect()
                line._socket = self.sock

        class Handler(urllib.request.HTTPHandler):
            def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(Connection, req)

        return Handler()

    def https(self) -> urllib.request.HTTPSHandler:
        """Return what opens https://."""
        line = self

        class Connection(http.client.HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                line._socket = self.sock

        class Handler(urllib.request.HTTPSHandler):
            def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(Connection, req)

        return Handler()

    def _cut(self) -> None:
        self.late = f"it had not answered in full after {self._patience_s:g} s"
        if self._socket is not None:
            with suppress(OSError):  # as of the plain socket: TLS would first ask the other side
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
