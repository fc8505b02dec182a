"""The doors: CloudEvents and OTLP over HTTP/1.1, CPU of the server's process.

`python -m benchmarks.doors` takes under 40 s. A server process of its own on loopback, whose intake answers
at once; KServe's pairs of V1 bodies with four features, on connections that are always busy. Halves go
through the journal on disk before they are answered. The figure is events over the CPU seconds of the
server's process, all threads: what one core can take; the client's are not in it. Beside it stand the same
requests parsed and answered unread, in turns in the same process: what HTTP/1.1 costs at least.
"""

import asyncio
import gzip
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import httptools

from benchmarks.results import Row, at_least, interleaved, publish
from recorders.doors import cloudevents, otlp
from recorders.doors.http import Answer, rendered
from recorders.doors.mapping import Mapping
from recorders.doors.pairing import PairingTable, half_of
from recorders.doors.router import Router
from recorders.doors.server import Server
from recorders.frame import Frame
from recorders.sidecar.settings import DoorsSettings

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
CONNECTIONS = 32
PAIRS = 3_200
BATCH = 100
REPEATS = 3
RECORDS = 100
LOGS = 40
HEAD = (
    "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    "User-Agent: Go-http-client/1.1\r\nContent-Length: {size}\r\n{rest}\r\n"
)
ATTRIBUTES = {
    "id": "{id}",
    "source": "http://localhost:9081/",
    "specversion": "1.0",
    "time": "2026-05-04T09:15:27.481920113Z",
    "type": "org.kubeflow.serving.inference.{side}",
    "inferenceservicename": "iris",
    "namespace": "models",
    "component": "predictor",
    "endpoint": "default",
    "metadata": "null",
}
CE = "Content-Type: application/json\r\n" + "".join(
    f"Ce-{name.title()}: {value}\r\n" for name, value in ATTRIBUTES.items()
)
BODIES = {"request": b'{"instances":[[6.8,2.8,4.8,1.4]]}', "response": b'{"predictions":[0.75]}'}


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


def pair(number: str) -> tuple[bytes, bytes]:
    """Return the two HTTP requests of one decision."""
    made = []
    for side, body in BODIES.items():
        head = HEAD.format(path="/", size=len(body), rest=CE.format(id=number, side=side))
        made.append(head.encode() + body)
    return made[0], made[1]


def logs(start: int, *, packed: bool) -> bytes:
    """Return an OTLP export of RECORDS records as JSON."""
    records = [
        {
            "timeUnixNano": str(1_777_888_800_000_000_000 + start + n),
            "attributes": [
                {"key": "amount", "value": {"doubleValue": n + 0.5}},
                {"key": "items", "value": {"intValue": str(n)}},
                {"key": "score", "value": {"doubleValue": 0.25}},
            ],
        }
        for n in range(RECORDS)
    ]
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()
    rest = "Content-Type: application/json\r\n" + ("Content-Encoding: gzip\r\n" if packed else "")
    body = gzip.compress(body, 1) if packed else body
    return HEAD.format(path="/v1/logs", size=len(body), rest=rest).encode() + body


async def load(port: int, streams: list[list[bytes]]) -> None:
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


class Served:
    """A server process, and what it used for a load."""

    def __init__(self, folder: str) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=serve, args=(theirs, folder))
        self._process.start()
        theirs.close()  # else the end of a server that could not start (a script from stdin) is waited for
        ours, unread = self._pipe.recv()
        self._ports = {"ours": ours, "unread": unread}

    def measure(self, streams: list[list[bytes]], decisions: int, who: str) -> tuple[float, float]:
        """Return CPU and wall seconds of the server for a load that makes so many decisions."""
        began_cpu, before = self._ask()
        began = time.perf_counter()
        asyncio.run(load(self._ports[who], streams))
        wall = time.perf_counter() - began
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


def translators() -> tuple[float, float]:
    """Return events a CPU second of the translators alone: KServe halves, OTLP records."""
    router = Router([Mapping.from_toml(text) for text in MAPPINGS.values()])
    headers = [
        [(name.encode(), value.encode()) for name, _, value in
         (line.partition(": ") for line in CE.format(id="{}", side=side).split("\r\n") if line)]
        for side in BODIES
    ]  # fmt: skip
    table = PairingTable()
    began = time.process_time()
    for number in range(PAIRS):
        name = b"%d" % number
        for kind, body in zip(headers, BODIES.values(), strict=True):
            own = [(key, name if key == b"Ce-Id" else value) for key, value in kind]
            attributes, _ = cloudevents.split(own)
            (event,) = cloudevents.read(b"application/json", attributes, body)
            found = table.offer(half_of(event, 0.0), 0.0)
            if found is not None:
                router.pair(found)
    halves = 2 * PAIRS / (time.process_time() - began)
    body = logs(0, packed=False).partition(b"\r\n\r\n")[2]
    began = time.process_time()
    for _ in range(LOGS):
        for document in otlp.read(b"application/json", body):
            router.document("otlp", document)
    return halves, LOGS * RECORDS / (time.process_time() - began)


Load = Callable[[int], tuple[list[list[bytes]], int, int]]


def over_http(served: Served, loads: dict[str, tuple[Load, str]]) -> dict[str, tuple[float, float]]:
    """Return the medians of events a CPU second and events a second of each load, in turns."""
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in loads}

    def once(name: str) -> float:
        load_of, who = loads[name]
        streams, events, decisions = load_of(len(figures[name]))
        cpu, wall = served.measure(streams, decisions if who == "ours" else 0, who)
        figures[name].append((events / cpu, events / wall))
        return events / cpu

    interleaved({name: (lambda name=name: once(name)) for name in loads}, REPEATS)
    return {
        name: (median(c for c, _ in found), median(w for _, w in found)) for name, found in figures.items()
    }


def batch_load(repeat: int) -> tuple[list[list[bytes]], int, int]:
    """Return the same halves, BATCH of them a request in CloudEvents' batch mode."""
    each = PAIRS // 4 // (BATCH // 2)
    streams = []
    for connection in range(4):
        requests = []
        for n in range(each):
            events = [
                {key: value.format(id=f"b{repeat}-{connection}-{n}-{k}", side=side) for key, value in
                 ATTRIBUTES.items()} | {"data": json.loads(BODIES[side])}
                for k in range(BATCH // 2) for side in BODIES
            ]  # fmt: skip
            body = json.dumps(events).encode()
            rest = "Content-Type: application/cloudevents-batch+json\r\n"
            requests.append(HEAD.format(path="/", size=len(body), rest=rest).encode() + body)
        streams.append(requests)
    return streams, 4 * each * BATCH, 4 * each * BATCH // 2


def kserve_load(repeat: int) -> tuple[list[list[bytes]], int, int]:
    """Return pairs of halves, each connection with decisions of its own."""
    each = PAIRS // CONNECTIONS
    streams = [
        [half for number in range(each) for half in pair(f"{repeat}-{connection}-{number}")]
        for connection in range(CONNECTIONS)
    ]
    return streams, 2 * each * CONNECTIONS, each * CONNECTIONS


def otlp_load(repeat: int) -> tuple[list[list[bytes]], int, int]:
    """Return gzipped exports of RECORDS records on four connections."""
    each = LOGS // 4
    streams = [
        [logs((repeat * 1000 + connection * each + n) * RECORDS, packed=True) for n in range(each)]
        for connection in range(4)
    ]
    return streams, 4 * each * RECORDS, 4 * each * RECORDS


def main() -> None:
    """Measure, print, write."""
    alone_ce, alone_otlp = translators()
    with tempfile.TemporaryDirectory() as folder:
        served = Served(folder)
        try:
            found = over_http(
                served,
                {
                    "single": (kserve_load, "ours"),
                    "unread": (kserve_load, "unread"),
                    "batch": (batch_load, "ours"),
                    "otlp": (otlp_load, "ours"),
                },
            )
        finally:
            served.close()
    (single, wall), (unread_core, _), (batch, _), (otlp_core, _) = found.values()
    unit = "events/s/core"
    publish(
        "doors",
        [
            at_least("CloudEvents over HTTP, one a request", single, unit, 20_000.0),
            at_least(f"CloudEvents over HTTP, {BATCH} a request", batch, unit, 20_000.0),
            Row("the same requests parsed and answered unread", unread_core, unit, "what HTTP/1.1 costs"),
            Row("CloudEvents one a request, as they came", wall, "events/s", f"{CONNECTIONS} connections"),
            Row("CloudEvents, translators alone", alone_ce, unit, "read, pair, map, encode"),
            Row("OTLP over HTTP, 100 records, gzip, JSON", otlp_core, unit),
            Row("OTLP, translators alone", alone_otlp, unit),
        ],
        notes=f"{2 * PAIRS} CloudEvents x {REPEATS} in turns, medians; load and server are two processes; "
        "the journal of halves is on disk with fsync, the intake answers at once.",
    )


if __name__ == "__main__":
    main()
