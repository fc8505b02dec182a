"""An object store on this machine that speaks the real protocol: S3, by moto's server."""

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from harness.config import StorePlace

START_S = 120.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def s3() -> Iterator[StorePlace]:
    """Yield a bucket on moto's server, which runs as a process of its own."""
    port = free_port()
    with _running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        _ask(f"http://127.0.0.1:{port}/segments", "PUT", b"")
        yield StorePlace("s3://segments/of/logs", s3_options(port))


def s3_options(port: int) -> dict[str, object]:
    """Return the options of harness.toml for a server at `port`; a real one takes its keys from elsewhere."""
    return {
        "key": "test",
        "secret": "test",
        "endpoint_url": f"http://127.0.0.1:{port}",
        "client_kwargs": {"region_name": "us-east-1"},
        "config_kwargs": {"connect_timeout": 2, "read_timeout": 2, "retries": {"max_attempts": 1}},
    }


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + START_S
        while not _listens(port):
            assert process.poll() is None, command
            assert time.monotonic() < until, f"{command} does not listen"
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _ask(url: str, method: str, body: bytes) -> None:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status < 300, url
