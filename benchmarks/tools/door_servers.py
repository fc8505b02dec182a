"""Servers that the doors are measured by: ours, one that leaves requests unread, a peer; and their load."""

import asyncio
import multiprocessing
import resource
import subprocess
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import httptools

from recorders.doors.http import Answer, rendered
from recorders.doors.mapping import Mapping
from recorders.doors.server import Server
from recorders.frame import Frame
from recorders.sidecar.settings import DoorsSettings

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-bench" / "bin" / "python"
Streams = list[list[bytes]]

MAPPINGS = {
    "kserve.toml": """
source = "kserve"
decision_point = "iris.kind"
[feature_set]
name = "iris"
version = 1
fields = [
    { name = "a", type = "float64" }, { name = "b", type = "float64" },
    { name = "c", type = "float64" }, { name = "d", type = "float64" },
]
[decision]
score = "output"
[fields]
a = "input[0]"
b = "input[1]"
c = "input[2]"
d = "input[3]"
""",
    "otlp.toml": """
source = "otlp"
decision_point = "shop.fraud"
[feature_set]
name = "fraud"
version = 1
fields = [{ name = "amount", type = "float64" }, { name = "items", type = "int64" }]
[decision]
score = "attributes.score"
""",
}


class Sink:
    """An intake that takes everything at once: what stands behind has a benchmark of its own."""

    def __init__(self) -> None:
        self.decisions = 0

    async def submit(self, frames: Sequence[Frame]) -> None:
        """Count."""
        self.decisions += sum(frame.events for frame in frames if frame.kind == "decision")


def serve(pipe: Connection, folder: str) -> None:
    """Serve, and answer each message on the pipe with CPU seconds and decisions so far, until None comes."""
    for name, text in MAPPINGS.items():
        (Path(folder) / name).write_text(text)

    async def run() -> None:
        sink = Sink()
        mappings = [Mapping.from_toml(Path(folder) / name) for name in MAPPINGS]
        server = Server(DoorsSettings(http="127.0.0.1:0"), mappings, sink, Path(folder) / "doors")
        await server.start()
        unread = await asyncio.get_running_loop().create_server(Unread, "127.0.0.1", 0)
        ended = asyncio.Event()

        def asked() -> None:
            if pipe.recv() is None:
                ended.set()
                return
            used = resource.getrusage(resource.RUSAGE_SELF)
            pipe.send((used.ru_utime + used.ru_stime, sink.decisions))

        asyncio.get_running_loop().add_reader(pipe.fileno(), asked)
        pipe.send((server.port, unread.sockets[0].getsockname()[1]))
        await ended.wait()
        await server.stop()

    asyncio.run(run())


class Unread(asyncio.Protocol):
    """Parses requests and answers 200 to each: what HTTP/1.1 costs at least."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Answer."""
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(rendered(Answer(200)))


async def load(port: int, streams: Streams) -> None:
    """Send each stream of requests on a connection of its own, the next one after each answer."""

    async def client(requests: list[bytes]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in requests:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if size:
                await reader.readexactly(size)
        writer.close()

    await asyncio.gather(*(client(requests) for requests in streams))


def timed(port: int, streams: Streams) -> float:
    """Return the seconds that a load takes."""
    began = time.perf_counter()
    asyncio.run(load(port, streams))
    return time.perf_counter() - began


class Served:
    """A server process, and what it used for a load."""

    def __init__(self, folder: str) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=serve, args=(theirs, folder))
        self._process.start()
        theirs.close()  # else the end of a server that could not start (a script from stdin) is waited for
        ours, unread = self._pipe.recv()
        self._ports: dict[Literal["ours", "unread"], int] = {"ours": ours, "unread": unread}

    def measure(self, streams: Streams, decisions: int) -> tuple[float, float]:
        """Return CPU and wall seconds of the server for a load that makes so many decisions."""
        return self._measured("ours", streams, decisions)

    def unread(self, streams: Streams, _: int) -> tuple[float, float]:
        """Return the same for a load that is answered unread."""
        return self._measured("unread", streams, 0)

    def _measured(
        self, who: Literal["ours", "unread"], streams: Streams, decisions: int
    ) -> tuple[float, float]:
        began_cpu, before = self._ask()
        wall = timed(self._ports[who], streams)
        cpu, after = self._ask()
        assert after - before == decisions, (before, after, decisions)
        return cpu - began_cpu, wall

    def _ask(self) -> tuple[float, int]:
        self._pipe.send("used")
        found: tuple[float, int] = self._pipe.recv()
        return found

    def close(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join(20)


class Peer:
    """A raw ASGI application under uvicorn in the peers' environment (benchmarks/peers/asgi.py)."""

    def __init__(self) -> None:
        if not PEERS.exists():
            raise SystemExit(
                f"No {PEERS.relative_to(ROOT)}. Expected the peers' environment. Use `make bench-doors`."
            )
        self._process = subprocess.Popen(
            [PEERS, "-m", "benchmarks.peers.asgi"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._port = int(self._said())

    def measure(self, streams: Streams, _: int) -> tuple[float, float]:
        """Return CPU and wall seconds of the peer for a load, all of whose requests it read."""
        began_cpu, before = self._ask()
        wall = timed(self._port, streams)
        cpu, after = self._ask()
        assert after - before == sum(map(len, streams)), (before, after)
        return cpu - began_cpu, wall

    def _ask(self) -> tuple[float, int]:
        assert self._process.stdin is not None, "a pipe was asked for"
        print("used", file=self._process.stdin, flush=True)
        cpu, events = self._said().split()
        return float(cpu), int(events)

    def _said(self) -> str:
        assert self._process.stdout is not None, "a pipe was asked for"
        return self._process.stdout.readline()

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=20)
