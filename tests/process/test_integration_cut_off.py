"""Streams under real servers that end on the way: by their client, their service, the server's own end."""

import json
import socket
from pathlib import Path

import pytest

from harness.log.log import Log
from tests.support.command_line import run
from tests.support.sidecars import Running
from tests.support.web import Server, decisions, serving

COMMANDS = {
    "uvicorn": [
        "uvicorn", "--uds", "{socket}", "--timeout-graceful-shutdown", "1", "--factory",
        "tests.support.streaming_service:asgi",
    ],
    "gunicorn": [
        "gunicorn", "--bind", "unix:{socket}", "--no-control-socket", "--worker-class", "gthread",
        "--threads", "4", "--timeout", "120", "tests.support.streaming_service:wsgi()",
    ],
}  # fmt: skip


def begun(server: Server, path: str) -> socket.socket:
    """Return a connection that has the first chunk of an answer."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    client.connect(server.path)
    client.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    data = b""
    while b"\n0\n" not in data.replace(b"\r\n", b"\n"):
        read = client.recv(4096)
        assert read, data
        data += read
    return client


@pytest.mark.parametrize("name", COMMANDS)
def test_streams_that_were_cut_off_are_counted_in_the_log_and_whole_ones_recorded(
    fresh_log: Log, tmp_path: Path, name: str
) -> None:
    with Running(tmp_path / "spool", fresh_log.url) as sidecar:
        with serving(COMMANDS[name], {"DOOR": sidecar.address}) as server:
            assert server.ask("GET", "/whole?first").body == b"0\n1\n2\n"
            begun(server, "/long?left").close()
            with begun(server, "/raises?raised") as client:
                while client.recv(4096):
                    pass  # until the server gives it up
            stays = begun(server, "/long?stays") if name == "uvicorn" else None
            assert server.ask("GET", "/whole?second").body == b"0\n1\n2\n"
            assert server.stop() in (0, -15), server.output.read_text()
            if stays is not None:
                stays.close()
        assert sidecar.run("drain").returncode == 0
    assert sorted(decisions(fresh_log)["decision_id"].to_pylist()) == ["first", "second"]
    told = json.loads(run("log", "gaps", "--json", HARNESS_DATABASE_URL=fresh_log.url).stdout)
    expected = 3 if name == "uvicorn" else 2
    assert [(one["reason"], one["events"]) for one in told["sums"]] == [("rejected.cut_off", expected)]
