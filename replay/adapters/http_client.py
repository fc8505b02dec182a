"""HTTP to a model server: one connection, no redirects, bounded answers, a server that is away told apart."""

import http.client
import json
import os
import time
from typing import Any
from urllib.parse import urlsplit

from replay.adapters.guard import CallFailed, plain
from replay.adapters.reasons import UNAVAILABLE
from replay.adapters.uri import ModelUri
from replay.model_errors import UnknownModelUri

ANSWER_BYTES_MAX = 64 * 2**20
_PAUSES_S = (0.1, 0.4, 1.0)
_BUSY = 429
_WAIT_S = 30.0
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Server:
    """The server that a URI names. Each wait of the socket is bounded; the whole exchange is the caller's."""

    def __init__(self, uri: ModelUri) -> None:
        token = token_of(uri)
        parts = urlsplit(("https:" if "https" in uri.scheme else "http:") + uri.target)
        if not parts.hostname:
            raise UnknownModelUri(uri.text, "no host", f"{uri.scheme}://host:port/path")
        if token is not None and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise UnknownModelUri(uri.text, "a token over plain HTTP", "https, or a server on this machine")
        self.path = parts.path.rstrip("/")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=_WAIT_S)
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON that the server answers.

        Raises:
            ValueError: it refuses these rows, or answers what is no JSON.
            CallFailed: it is away, also after some pauses; no other rows would do better.
        """
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        why = ""
        for pause in (*_PAUSES_S, 0.0):
            try:
                status, answer = self._once(method, path, data)
            except (OSError, http.client.HTTPException) as error:
                why = f"{type(error).__name__}: {error}"
            else:
                if status < http.client.INTERNAL_SERVER_ERROR and status != _BUSY:
                    return _read(status, answer)
                why = f"HTTP {status}: {answer[:200].decode(errors='replace')}"
            self._connection.close()
            time.sleep(pause)
        raise CallFailed(f"{UNAVAILABLE}{plain(why)}", whole=True)

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        self._connection.close()

    def _once(self, method: str, path: str, data: bytes | None) -> tuple[int, bytes]:
        self._connection.request(method, path, data, self._headers)
        response = self._connection.getresponse()
        answer = response.read(ANSWER_BYTES_MAX + 1)
        return response.status, answer


def token_of(uri: ModelUri) -> str | None:
    """Return the secret that the URI names by its environment variable; the log keeps the name alone."""
    name = uri.options.get("token")
    return None if name is None else os.environ.get(name)


def _read(status: int, answer: bytes) -> Any:
    if len(answer) > ANSWER_BYTES_MAX:
        raise ValueError(f"answer of more than {ANSWER_BYTES_MAX} bytes")
    if status != http.client.OK:
        raise ValueError(f"HTTP {status}: {plain(answer[:400].decode(errors='replace'))}")
    try:
        return json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise ValueError("answer that is no JSON") from error
