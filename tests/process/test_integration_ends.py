"""Workers that are recycled, and stopped while clients ask: what a client was told is in the log, once."""

import http.client
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.log.log import Log
from tests.support.sidecars import Running, until
from tests.support.web import Server, decisions, serving

# By gevent, with a recorder or without, a recycled worker may wait so long for a client that is gone.
GUNICORN = ["gunicorn", "--bind", "unix:{socket}", "--no-control-socket", "--graceful-timeout", "3"]
GUNICORN += ["--workers", "2", "--timeout", "120", "--max-requests", "20", "--max-requests-jitter", "5"]
UVICORN = ["uvicorn", "--uds", "{socket}", "--workers", "3", "--factory"]
WSGI, ASGI = "tests.support.ending_service:wsgi()", "tests.support.ending_service:asgi"
ORDER = {"amount": 2.5, "country": "NZ"}
CLIENTS, WORKERS = 4, 3


class Clients:
    """Clients that ask until they are told to end; what was answered, and by whom."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._ended = threading.Event()
        self.told: list[str] = []
        self.workers: set[int] = set()

    def ask(self, _: int) -> None:
        while not self._ended.is_set():
            try:
                answer = self._server.ask("POST", "/decide", ORDER).json()
            except (OSError, http.client.HTTPException, ValueError):
                self._ended.wait(0.01)  # it reached a worker that was about to end
            else:
                self.told.append(answer["id"])
                self.workers.add(answer["worker"])

    def end(self) -> None:
        self._ended.set()


@pytest.mark.parametrize(
    "command",
    [
        [*GUNICORN, "--worker-class", "gevent", "--preload", WSGI],
        [*GUNICORN, "--worker-class", "gthread", "--threads", "4", "--log-level", "info", WSGI],
        [*UVICORN, ASGI],
    ],
    ids=["gevent", "threads", "uvicorn"],
)
def test_what_workers_answered_before_they_ended_is_in_the_log(
    fresh_log: Log, tmp_path: Path, command: list[str]
) -> None:
    with Running(tmp_path / "spool", fresh_log.url) as sidecar:
        with (
            serving(command, {"DOOR": sidecar.address}) as server,
            ThreadPoolExecutor(CLIENTS) as threads,
        ):
            clients = Clients(server)
            asking = threads.map(clients.ask, range(CLIENTS))
            try:
                until(lambda: len(clients.workers) >= WORKERS and len(clients.told) > 100, 60.0)
                assert server.stop() in (0, -15), server.output.read_text()
            finally:
                clients.end()
            list(asking)
        assert sidecar.run("drain").returncode == 0
    found = Counter(decisions(fresh_log)["decision_id"].to_pylist())
    assert set(found.values()) == {1}
    assert set(clients.told) - set(found) == set()
    assert fresh_log.controls("recorder.loss") == []
