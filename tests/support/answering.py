"""A server of models whose answers a test chooses, by the Open Inference Protocol and in plain JSON."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Says = Callable[["Handler", list[float]], None]


def halves(handler: "Handler", values: list[float]) -> None:
    """Answer half of each value."""
    handler.score([value / 2 for value in values])


class Server(ThreadingHTTPServer):
    """Answers with `says`, which is given the first input's values; `version` is what it serves."""

    daemon_threads = True
    says: Says = staticmethod(halves)
    version = "1"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        tensors = [{"name": name, "datatype": "FP64", "shape": [-1, 1]} for name in ("x", "y")]
        self.say(200, {"name": "p", "versions": [self.server.version], "inputs": tensors, "outputs": []})

    def do_POST(self) -> None:
        self.asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told = self.asked.get("instances")
        first = [next(iter(row.values())) for row in told] if told else self.asked["inputs"][0]["data"]
        self.server.says(self, first)

    def score(self, values: list[float]) -> None:
        """Answer these scores."""
        if "instances" in self.asked:
            self.say(200, {"predictions": [{"score": value} for value in values]})
            return
        out = {"name": "p", "shape": [len(values)], "datatype": "FP64", "data": values}
        found = {"model_version": self.server.version, "id": self.asked["id"], "outputs": [out]}
        self.say(200, found)

    def say(self, status: int, value: Any, *, short: int = 0, **headers: str) -> None:
        """Answer whatever a test wants; the body lacks the last `short` bytes that its length promises."""
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers | {"Content-Length": str(len(data) + short)}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = short > 0

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def answering() -> Iterator[Server]:
    """Yield a server that answers half of the first input until it is told otherwise."""
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
