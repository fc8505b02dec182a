"""The witness's door: POST /add-checkpoint, and nothing else."""

import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from harness.integrity.witness_book import REQUEST_BYTES_MAX, Refusal, WitnessBook
from recorders.errors import HarnessError

PATH: Final = "/add-checkpoint"
PATIENCE_S: Final = 10


def witness_server(book: WitnessBook, host: str, port: int) -> ThreadingHTTPServer:
    """Return a server, bound and not yet serving; port 0 is any free one."""

    class Handler(BaseHTTPRequestHandler):
        """Answers one connection."""

        timeout = PATIENCE_S
        server_version = "harness-witness"
        sys_version = ""

        def do_POST(self) -> None:
            """Cosign, or say why not."""
            size = self.headers.get("Content-Length", "")
            if self.path != PATH:
                self._answer(404, "there is only POST /add-checkpoint\n")
            elif not size.isdecimal() or int(size) > REQUEST_BYTES_MAX:
                self._answer(413, f"a request has a Content-Length up to {REQUEST_BYTES_MAX}\n")
            else:
                try:
                    self._answer(200, book.add(self.rfile.read(int(size))))
                except (HarnessError, sqlite3.Error) as error:  # its disk is full, its book away
                    self._answer(503, "this witness cannot use its book\n")
                    sys.stderr.write(f"{error}\n")
                except Refusal as refusal:
                    kind = "text/plain" if refusal.size is None else "text/x.tlog.size"
                    self._answer(refusal.status, f"{str(refusal).rstrip()}\n", kind)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Say nothing: what counts is in the book."""

        def _answer(self, status: int, text: str, kind: str = "text/plain") -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return ThreadingHTTPServer((host, port), Handler)
