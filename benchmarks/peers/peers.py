"""Each peer: a call on the request path, an end that waits, and how many events arrived.

They are given their best case: exporters that only count, files without fsync, a broker in memory.
"""

import json
import logging
import os
import socket
import struct
import tempfile
import time
from collections import deque
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol

from benchmarks.peers.bento import BentoMonitor
from benchmarks.peers.load import FEATURES
from recorders.errors import LinkUnavailable
from recorders.frame import Frame, Receipt
from recorders.limits import Limits
from recorders.recorder import Recorder

Features = dict[str, Any]
BOUND = 65_536
PURE = "ours, pure Python"


class Peer(Protocol):
    """One way to keep a decision."""

    def call(self, features: Features, score: float) -> object:
        """Keep one decision."""
        ...

    def finish(self) -> int:
        """Wait until all that was kept has left, and return how many events arrived; -1: it keeps none."""
        ...


class Nothing:
    """The request alone."""

    def call(self, features: Features, score: float) -> object:
        """Do nothing."""

    def finish(self) -> int:
        """Return that nothing is kept."""
        return -1


class SocketSink:
    """A link to another process over a UNIX socket, which answers each frame."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._socket, far = socket.socketpair()
        if not os.fork():
            self._socket.close()
            stream = far.makefile("rb")
            while header := stream.read(4):
                stream.read(struct.unpack(">I", header)[0])
                far.sendall(b"k")
            os._exit(0)
        far.close()

    def send(self, frame: Frame) -> Receipt:
        """Return the receipt of a frame once the other process has it."""
        time.sleep(self._delay_s)
        self._socket.sendall(struct.pack(">I", len(frame.payload)) + frame.payload)
        assert self._socket.recv(1) == b"k"
        return Receipt(1, frame.sequence, "", 0, duplicate=False)

    def close(self) -> None:
        """End the other process."""
        self._socket.close()


class Down:
    """A link whose far end is away."""

    def send(self, frame: Frame) -> Receipt:
        """Refuse."""
        raise LinkUnavailable(f"frame {frame.sequence} has nowhere to go")

    def close(self) -> None:
        """Hold nothing."""


class Ours:
    """The recorder."""

    def __init__(self, delay_s: float = 0.0, *, down: bool = False) -> None:
        logging.getLogger("recorders").setLevel(logging.CRITICAL)
        link = Down() if down else SocketSink(delay_s)
        limits = Limits(exit_s=0.1)
        self._recorder = Recorder("bench", FEATURES, link, model="m", model_version="1", limits=limits)

    def call(self, features: Features, score: float) -> object:
        """Record."""
        return self._recorder.record(features, score=score, decision="accept", unit="u1")

    def finish(self) -> int:
        """Flush, and return what was acknowledged."""
        self._recorder.flush(30)
        counters = self._recorder.counters
        self._recorder.close(1)
        return counters.acked


class Unchecked:
    """The bare idea: pick values, encode, queue. Nothing is checked, minted, counted or sent: the bound."""

    def __init__(self) -> None:
        import msgspec

        self._queue: deque[bytes] = deque()
        self._encode = msgspec.msgpack.Encoder().encode
        self._pick = itemgetter(*(field.name for field in FEATURES.fields))

    def call(self, features: Features, score: float) -> object:
        """Queue the bytes."""
        if len(self._queue) >= BOUND:
            return None
        at = time.time_ns()
        self._queue.append(self._encode((at, self._pick(features), score, "accept", "u1")))
        return None

    def finish(self) -> int:
        """Return that nothing arrives anywhere."""
        return -1


class LoggingJson:
    """The standard library's logging, a line of json.dumps, into a file."""

    def __init__(self) -> None:
        self._path = Path(tempfile.mkdtemp()) / "decisions.log"
        self._logger = logging.getLogger("bench")
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        self._handler = logging.FileHandler(self._path)
        self._logger.handlers = [self._handler]

    def call(self, features: Features, score: float) -> object:
        """Log a line."""
        line = {"at": time.time(), "score": score, "decision": "accept", "unit": "u1", "features": features}
        self._logger.info(json.dumps(line))
        return None

    def finish(self) -> int:
        """Close the file and return its lines."""
        self._handler.close()
        return _lines(self._path)


class Structlog:
    """structlog with orjson, into a file."""

    def __init__(self) -> None:
        import orjson
        import structlog

        self._path = Path(tempfile.mkdtemp()) / "decisions.log"
        self._file = self._path.open("wb")
        structlog.configure(
            processors=[
                structlog.processors.TimeStamper(),
                structlog.processors.JSONRenderer(serializer=orjson.dumps),
            ],
            logger_factory=structlog.BytesLoggerFactory(file=self._file),
            cache_logger_on_first_use=True,
        )
        self._logger = structlog.get_logger()

    def call(self, features: Features, score: float) -> object:
        """Log a line."""
        return self._logger.info("decision", score=score, decision="accept", unit="u1", features=features)

    def finish(self) -> int:
        """Close the file and return its lines."""
        self._file.close()
        return _lines(self._path)


class Counting:
    """An exporter that counts and throws away."""

    def __init__(self, result: object, delay_s: float = 0.0) -> None:
        self.count = 0
        self._result = result
        self._delay_s = delay_s

    def export(self, batch: Any) -> Any:
        """Count."""
        time.sleep(self._delay_s)
        self.count += len(batch)
        return self._result

    def shutdown(self) -> None:
        """Hold nothing."""

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """Hold nothing."""
        return bool(timeout_millis + 1)


class OtelSpan:
    """An OpenTelemetry span with an attribute a feature, batched; its exporter only counts."""

    def __init__(self, delay_s: float = 0.0, *, down: bool = False) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._exporter = Counting(SpanExportResult.SUCCESS, 3600.0 if down else delay_s)
        self._provider = TracerProvider()
        size = {"max_queue_size": 65_536} if down else {}
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter, **size))  # type: ignore[arg-type]
        self._tracer = self._provider.get_tracer("bench")

    def call(self, features: Features, score: float) -> object:
        """Start and end a span."""
        given = {name: value for name, value in features.items() if value is not None}
        with self._tracer.start_as_current_span("decision", attributes={**given, "score": score}):
            return None

    def finish(self) -> int:
        """Shut down and return what was exported."""
        self._provider.force_flush(60_000)
        self._provider.shutdown()
        return self._exporter.count


class OtelLog:
    """An OpenTelemetry log record with an attribute a feature, batched; its exporter only counts."""

    def __init__(self, delay_s: float = 0.0, *, down: bool = False) -> None:
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult

        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._exporter = Counting(LogRecordExportResult.SUCCESS, 3600.0 if down else delay_s)
        self._provider = LoggerProvider()
        size = {"max_queue_size": 65_536} if down else {}
        self._provider.add_log_record_processor(BatchLogRecordProcessor(self._exporter, **size))  # type: ignore[arg-type]
        self._logger = self._provider.get_logger("bench")

    def call(self, features: Features, score: float) -> object:
        """Emit a record."""
        self._logger.emit(timestamp=time.time_ns(), body="decision", attributes={**features, "score": score})
        return None

    def finish(self) -> int:
        """Shut down and return what was exported."""
        self._provider.force_flush(60_000)
        self._provider.shutdown()
        return self._exporter.count


class Prometheus:
    """One histogram with one label: a metric, not a record."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Histogram

        self._histogram = Histogram("score", "score", ["decision"], registry=CollectorRegistry())

    def call(self, features: Features, score: float) -> object:  # noqa: ARG002  # it keeps no features
        """Observe the score."""
        return self._histogram.labels("accept").observe(score)

    def finish(self) -> int:
        """Return that it keeps no events."""
        return -1


class Kafka:
    """confluent-kafka and msgspec; the broker is librdkafka's mock, in this process and its CPU."""

    def __init__(self, delay_s: float = 0.0, *, down: bool = False) -> None:
        import msgspec
        from confluent_kafka import Producer

        mock = {"test.mock.num.brokers": 1, "test.mock.broker.rtt": int(delay_s * 1000)}
        broker = {"bootstrap.servers": "127.0.0.1:9"} if down else mock
        self._producer = Producer({**broker, "log_level": 0})
        self._encode = msgspec.msgpack.Encoder().encode
        self._arrived = 0

    def _on_delivery(self, error: object, message: object) -> None:  # noqa: ARG002  # the library's signature
        self._arrived += error is None

    def call(self, features: Features, score: float) -> object:
        """Produce a message."""
        data = self._encode({"at": time.time_ns(), "score": score, "decision": "accept", **features})
        try:
            self._producer.produce("decisions", data, on_delivery=self._on_delivery)
        except BufferError:
            return None
        return self._producer.poll(0)

    def finish(self) -> int:
        """Flush and return what was delivered."""
        self._producer.flush(60)
        return self._arrived


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        count = sum(1 for _ in file)
    path.unlink()
    path.parent.rmdir()
    return count


PEERS: dict[str, Callable[[], Peer]] = {
    "none": Nothing,
    "ours": Ours,
    PURE: Ours,
    "encode and queue, unchecked": Unchecked,
    "stdlib logging, JSON": LoggingJson,
    "structlog, orjson": Structlog,
    "OpenTelemetry span": OtelSpan,
    "OpenTelemetry log": OtelLog,
    "prometheus histogram": Prometheus,
    "confluent-kafka": Kafka,
    "BentoML monitor": BentoMonitor,
}
# Those with a queue, and a far end that takes this long to answer.
FAR_S = 0.01
FAR: dict[str, Callable[[], Peer]] = {
    "ours": lambda: Ours(FAR_S),
    "OpenTelemetry span": lambda: OtelSpan(FAR_S),
    "OpenTelemetry log": lambda: OtelLog(FAR_S),
    "confluent-kafka": lambda: Kafka(FAR_S),
}
# The same, their far end away.
BACKLOGGED: dict[str, Callable[[], Peer]] = {
    "ours": lambda: Ours(down=True),
    "OpenTelemetry span": lambda: OtelSpan(down=True),
    "OpenTelemetry log": lambda: OtelLog(down=True),
    "confluent-kafka": lambda: Kafka(down=True),
}
