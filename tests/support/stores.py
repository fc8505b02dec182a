"""Object stores on this machine that speak the real protocols; Azure's and Google's by `make test-stores`."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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
def azure() -> Iterator[StorePlace]:
    """Yield a container on Azurite, with the account that it is shipped with."""
    port = free_port()
    options = {"connection_string": azure_account(port)}
    command = ["node", _needed("HARNESS_TEST_AZURITE"), "--inMemoryPersistence", "--skipApiVersionCheck"]
    with _running([*command, "--silent", "--blobPort", str(port)], port):
        import adlfs

        adlfs.AzureBlobFileSystem(**options, skip_instance_cache=True).mkdir("segments")
        yield StorePlace("abfs://segments/of/logs", options)


def azure_account(port: int) -> str:
    """Return the address of the account that Azurite is shipped with; its key is public."""
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    account = f"AccountName=devstoreaccount1;AccountKey={key}"
    place = f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1"
    return f"DefaultEndpointsProtocol=http;{account};{place};"


@contextmanager
def gcs() -> Iterator[StorePlace]:
    """Yield a bucket on fake-gcs-server."""
    port = free_port()
    here = f"http://127.0.0.1:{port}"
    command = [_needed("HARNESS_TEST_GCS"), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1"]
    reached = ["-port", str(port), "-public-host", f"127.0.0.1:{port}", "-external-url", here]
    with pytest.MonkeyPatch.context() as patch, _running([*command, *reached], port):
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        _ask(f"{here}/storage/v1/b?project=test", "POST", json.dumps({"name": "segments"}).encode())
        yield StorePlace("gs://segments/of/logs", {"endpoint_url": here, "token": "anon", "project": "test"})


def _needed(variable: str) -> str:
    found = os.environ.get(variable)
    if not found or not Path(found).exists():
        what = f"names {found}, which is not there" if found else "names no server"
        pytest.skip(f"{variable} {what}: see make test-stores")
    return found


@contextmanager
def silent() -> Iterator[int]:
    """Yield the port of a server that accepts and never answers."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(64)
        yield door.getsockname()[1]


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
