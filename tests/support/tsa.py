"""A time-stamping authority on this machine: openssl behind an HTTP port."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

_CONFIG = """
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[stamper]
extendedKeyUsage = critical, timeStamping
keyUsage = critical, digitalSignature
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
"""


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_authority(folder: Path) -> Path:
    """Make the authority's keys and certificates in `folder`, and return the root's PEM."""
    (folder / "config").write_text(_CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "config")
    _openssl(folder, "req", "-x509", *key, "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=root",
             "-days", "3650", "-extensions", "root")  # fmt: skip
    _openssl(folder, "req", *key, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=tsa")
    by = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial")
    _openssl(folder, "x509", "-req", "-in", "tsa.csr", *by, "-out", "tsa.pem", "-days", "3650",
             "-extfile", "config", "-extensions", "stamper")  # fmt: skip
    return folder / "root.pem"


@contextmanager
def authority(folder: Path) -> Iterator[str]:
    """Yield the URL of an authority that `make_authority` made."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = folder / "query"
            query.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            _openssl(folder, "ts", "-reply", "-config", "config", "-queryfile", "query", "-out", "reply")
            answer = (folder / "reply").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with served(Handler) as url:
        yield url


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Yield the URL of a server with this handler."""
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
