"""Operations over HTTP/1.1: metrics, health, status; and drain on the operator's own socket.

Standard library alone.
"""

import asyncio
import hmac
import http.client
import json
import socket
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from recorders.sidecar.errors import SidecarForeign, SidecarSilent, SidecarUnreachable
from recorders.sidecar.metrics import prometheus, readiness
from recorders.sidecar.rights import refused

REQUEST_BYTES_MAX: Final = 8_192
REQUEST_S: Final = 5.0
CONNECTIONS_MAX: Final = 64
PHRASES: Final = {
    200: "OK",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}
# What the status of every version has.
PARTS: Final = ("spool", "disk", "ship")
Answered = tuple[int, str, str]


class Ops:
    """Answers GET /metrics, /healthz, /readyz and /status; POST /drain where `operator` is true."""

    def __init__(
        self, status: Callable[[], dict[str, Any]], drain: Callable[[], None], token: str = ""
    ) -> None:
        self._status = status
        self._drain = drain
        self._token = token.encode()
        self._open = 0

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, operator: bool
    ) -> None:
        """Answer one request and close. Whoever is slow or long-winded is cut off."""
        if self._open >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._open += 1
        try:
            async with asyncio.timeout(REQUEST_S):
                head = await reader.readuntil(b"\r\n\r\n")
                answer = _response(*self._answer(head, operator=operator))
                writer.write(_head(answer) if head.startswith(b"HEAD ") else answer)
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            writer.transport.abort()
        finally:
            self._open -= 1
            writer.close()

    def _answer(self, head: bytes, *, operator: bool) -> Answered:
        lines = head.decode("latin-1").split("\r\n")
        method, _, rest = lines[0].partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        headers = dict(_header(line) for line in lines[1:] if ":" in line)
        if path == "/healthz":
            return 200, "text/plain", "alive\n"
        if not operator and self._token:
            given = headers.get("authorization", "").removeprefix("Bearer ").encode("latin-1")
            if not hmac.compare_digest(given, self._token):
                return 401, "text/plain", "a token is needed\n"
        if path == "/drain" and operator and method == "POST":
            self._drain()
            return 200, "application/json", json.dumps(self._status())
        if method not in ("GET", "HEAD"):
            return 405, "text/plain", "read only\n"
        return self._read(path)

    def _read(self, path: str) -> Answered:
        if path == "/metrics":
            return 200, "text/plain; version=0.0.4", prometheus(self._status())
        if path == "/status":
            return 200, "application/json", json.dumps(self._status())
        if path == "/readyz":
            reasons = readiness(self._status())
            return (
                (503, "text/plain", "\n".join(reasons) + "\n") if reasons else (200, "text/plain", "ready\n")
            )
        return 404, "text/plain", "metrics, healthz, readyz, status\n"


def _response(code: int, kind: str, body: str) -> bytes:
    data = body.encode()
    head = f"HTTP/1.1 {code} {PHRASES[code]}\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data


def _head(answer: bytes) -> bytes:
    """Return an answer without its body, as whoever asks by HEAD expects it."""
    return answer[: answer.index(b"\r\n\r\n") + 4]


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=REQUEST_S)
        self._path = path

    def connect(self) -> None:
        """Open the UNIX socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(REQUEST_S)
        self.sock.connect(str(self._path))


def ask(path: Path, method: str, resource: str) -> dict[str, Any]:
    """Return what a running sidecar answers on its operator's socket.

    Raises:
        SidecarUnreachable: nothing is there. SidecarSilent: something is, and does not answer.
        SidecarForeign: what answers is no status. SidecarForbidden: it is closed to this user.
    """
    connection = _Unix(path)
    try:
        connection.request(method, resource)
        answer = connection.getresponse()
        text = answer.read()
    except PermissionError as error:
        raise refused(path) from error
    except TimeoutError as error:
        raise SidecarSilent(str(path), REQUEST_S) from error
    except http.client.BadStatusLine as error:
        if isinstance(error, http.client.RemoteDisconnected):
            raise SidecarUnreachable(str(path), str(error)) from error
        raise SidecarForeign(str(path), "it speaks no HTTP") from error
    except (OSError, http.client.HTTPException) as error:
        raise SidecarUnreachable(str(path), str(error) or type(error).__name__) from error
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK:
        raise SidecarForeign(str(path), f"it answers {answer.status} to {method} {resource}")
    return _known(path, text)


def _known(path: Path, text: bytes) -> dict[str, Any]:
    """Return a status that has what every version's has."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise SidecarForeign(str(path), f"it answers no JSON ({error})") from error
    missing = set(PARTS) - (found.keys() if isinstance(found, dict) else set())
    if missing:
        raise SidecarForeign(str(path), f"its status has no {min(missing)!r}")
    known: dict[str, Any] = found
    return known
