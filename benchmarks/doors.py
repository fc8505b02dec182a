"""The doors: CloudEvents and OTLP over HTTP/1.1, CPU of the server's process.

`make bench-doors` takes about a minute. A server process of its own on loopback, whose intake answers
at once; KServe's pairs of V1 bodies with four features, on connections that are always busy. Halves go
through the journal on disk before they are answered. The figure is events over the CPU seconds of the
server's process, all threads: what one core can take; the client's are not in it. Beside it stand the same
requests, in turns: parsed and answered unread by the same process, which is what HTTP/1.1 costs at least; and
read by a raw ASGI application under uvicorn on httptools and uvloop. That one decodes the body and encodes
attributes and body again, and that is all: it checks, bounds, pairs and maps nothing and keeps nothing on
disk. The 20,000 events/s of a core that are asked of ours were set on a machine where such a one took 25,758
from one client, so that ratio is asked too.
"""

import gzip
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from statistics import median

from benchmarks.results import Row, at_least, interleaved, of_turns, publish
from benchmarks.tools.door_servers import MAPPINGS, Peer, Served, Streams
from recorders.doors import cloudevents, otlp
from recorders.doors.mapping import Mapping
from recorders.doors.pairing import PairingTable, half_of
from recorders.doors.router import Router

CONNECTIONS = 32
PAIRS = 3_200
BATCH = 100
REPEATS = 9
# What is asked of ours by what the peer took where that was set.
PEERS_SHARE = 0.776
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


Load = Callable[[int], tuple[Streams, int, int]]
Measure = Callable[[Streams, int], tuple[float, float]]
Figures = dict[str, list[tuple[float, float]]]


def over_http(loads: dict[str, tuple[Load, Measure]]) -> Figures:
    """Return events a CPU second and events a second of each load, one for each of REPEATS turns."""
    figures: Figures = {name: [] for name in loads}

    def once(name: str) -> float:
        load_of, measure = loads[name]
        streams, events, decisions = load_of(len(figures[name]))
        cpu, wall = measure(streams, decisions)
        figures[name].append((events / cpu, events / wall))
        return events / cpu

    interleaved({name: (lambda name=name: once(name)) for name in loads}, REPEATS)
    return figures


def cores(found: list[tuple[float, float]]) -> float:
    """Return the median of events a CPU second."""
    return median(core for core, _ in found)


def batch_load(repeat: int) -> tuple[Streams, int, int]:
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


def kserve_load(repeat: int) -> tuple[Streams, int, int]:
    """Return pairs of halves, each connection with decisions of its own."""
    each = PAIRS // CONNECTIONS
    streams = [
        [half for number in range(each) for half in pair(f"{repeat}-{connection}-{number}")]
        for connection in range(CONNECTIONS)
    ]
    return streams, 2 * each * CONNECTIONS, each * CONNECTIONS


def otlp_load(repeat: int) -> tuple[Streams, int, int]:
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
    with tempfile.TemporaryDirectory() as folder, closing(Peer()) as peer, closing(Served(folder)) as served:
        found = over_http(
            {
                "single": (kserve_load, served.measure),
                "peer": (kserve_load, peer.measure),
                "unread": (kserve_load, served.unread),
                "batch": (batch_load, served.measure),
                "otlp": (otlp_load, served.measure),
            }
        )
    share = median(
        ours / theirs for (ours, _), (theirs, _) in zip(found["single"], found["peer"], strict=True)
    )
    single = [core for core, _ in found["single"]]
    wall = median(wall for _, wall in found["single"])
    unit = "events/s/core"
    doing = "reads, decodes, encodes; keeps nothing"
    publish(
        "doors",
        [
            *of_turns(at_least, "CloudEvents over HTTP, one a request", single, unit, 20_000.0),
            at_least(f"CloudEvents over HTTP, {BATCH} a request", cores(found["batch"]), unit, 20_000.0),
            Row("the same requests read by raw ASGI on uvicorn", cores(found["peer"]), unit, doing),
            at_least(
                "one a request, of what raw ASGI takes", share, "ratio", PEERS_SHARE, against="same turn"
            ),
            Row(
                "the same requests parsed and answered unread",
                cores(found["unread"]),
                unit,
                "what HTTP/1.1 costs",
            ),
            Row("CloudEvents one a request, as they came", wall, "events/s", f"{CONNECTIONS} connections"),
            Row("CloudEvents, translators alone", alone_ce, unit, "read, pair, map, encode"),
            Row("OTLP over HTTP, 100 records, gzip, JSON", cores(found["otlp"]), unit),
            Row("OTLP, translators alone", alone_otlp, unit),
        ],
        notes=f"{2 * PAIRS} CloudEvents x {REPEATS} in turns, medians; load and server are two processes; "
        "the journal of halves is on disk with fsync, the intake answers at once; the peer has no journal, "
        "no pairing and no mapping.",
    )


if __name__ == "__main__":
    main()
