"""Services under real servers, reached over a UNIX socket, and what the log has of them."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pyarrow as pa

from harness.log.log import Log

ROOT = Path(__file__).parents[2]
START_S = 60.0
# For an answer, on a machine with much other work: whoever waits for what never comes is told in the end.
PATIENCE_S = 120.0
POINT = "fraud.checkout"


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(self._path)


class Server:
    """A server process. Every command gets `{socket}`: the path where it listens."""

    def __init__(self, folder: Path, command: list[str], environment: Mapping[str, str]) -> None:
        self.path = str(folder / "http.sock")
        self.output = folder / "output.txt"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *(part.replace("{socket}", self.path) for part in command)],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Return the answer to one request; a body that is no bytes goes as JSON."""
        connection = _UnixConnection(self.path)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        kind = {"content-type": "application/json"} if data is not None else {}
        try:
            connection.request(
                method, path, data, kind | {k.replace("_", "-"): v for k, v in headers.items()}
            )
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def wait(self) -> None:
        """Return when it takes connections."""
        end = time.monotonic() + START_S
        while not self._listens():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < end, self.output.read_text()
            time.sleep(0.05)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.path) == 0

    def stop(self) -> int:
        """End it as a supervisor does, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def serving(command: list[str], environment: Mapping[str, str]) -> Iterator[Server]:
    """Yield a server that takes connections; it is ended afterwards, if the test has not."""
    with tempfile.TemporaryDirectory(prefix="web-") as folder:
        server = Server(Path(folder), command, environment)
        try:
            server.wait()
            yield server
        finally:
            if server.process.poll() is None:
                server.process.kill()
            server.process.wait()


def decisions(log: Log, point: str = POINT) -> pa.Table:
    """Return the decisions that the log has of a decision point."""
    return pa.Table.from_batches(log.read(1, log.head().position + 1, kind="decision", decision_point=point))


def writers(log: Log) -> dict[str, int]:
    """Return the decisions that each writer has in the log."""
    with psycopg.connect(log.url) as connection:
        return dict(
            connection.execute(
                "select writer::text, sum(events)::int from harness.batch where kind = 'decision' group by 1"
            ).fetchall()
        )
