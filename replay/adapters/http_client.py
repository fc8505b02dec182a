"""HTTP to a model server: one connection, no redirects, bounded answers, a server that is away told apart.

Only an answer can cost a row its score. What says nothing of the rows (a redirect, a missing path or right, a
page of a proxy, a body that is cut short or does not end) comes from no model: it ends the run, which goes on
later.
"""

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
# A server may do better a moment later; and what it says of rows that it does not take.
_LATER = frozenset({408, 425, 429})
_OF_ROWS = frozenset({400, 413, 422})
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
            ValueError: it refuses these rows.
            CallFailed: it is away, also after some pauses, or no such server: no other rows would do better.
        """
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        why = ""
        for pause in (*_PAUSES_S, 0.0):
            try:
                status, answer = self._once(method, path, data)
            except (OSError, http.client.HTTPException) as error:
                why = f"{type(error).__name__}: {error}"
            else:
                if status < http.client.INTERNAL_SERVER_ERROR and status not in _LATER:
                    return _read(status, answer)
                why = f"HTTP {status}: {answer[:200].decode(errors='replace')}"
            self._connection.close()
            time.sleep(pause)
        raise _away(why)

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        self._connection.close()

    def _once(self, method: str, path: str, data: bytes | None) -> tuple[int, bytes]:
        self._connection.request(method, path, data, self._headers)
        response = self._connection.getresponse()
        answer = response.read(ANSWER_BYTES_MAX + 1)
        if len(answer) > ANSWER_BYTES_MAX:
            self._connection.close()  # what is left of it is no answer to what is asked next
        elif response.length:  # `read` with a bound does not say that the rest never came
            raise http.client.IncompleteRead(answer, response.length)
        if response.status in range(300, 400):
            answer = f"a redirect to {response.headers.get('Location')}, which is not followed".encode()
        return response.status, answer


def token_of(uri: ModelUri) -> str | None:
    """Return the secret that the URI names by its environment variable; the log keeps the name alone."""
    name = uri.options.get("token")
    return None if name is None else os.environ.get(name)


def _read(status: int, answer: bytes) -> Any:
    said = answer[:400].decode(errors="replace")
    if status in _OF_ROWS:
        raise ValueError(f"HTTP {status}: {plain(said)}")
    if status != http.client.OK:
        raise _away(f"HTTP {status}: {said}")
    if len(answer) > ANSWER_BYTES_MAX:
        raise _away(f"answer of more than {ANSWER_BYTES_MAX} bytes")
    try:
        return json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise _away(f"answer that is no JSON: {said}") from error


def _away(why: str) -> CallFailed:
    return CallFailed(f"{UNAVAILABLE}{plain(why)}", whole=True)
